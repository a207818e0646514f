// SPDX-License-Identifier: GPL-2.0

//! Pointers to entries of block sets.

use super::Preservable;
use crate::{
    ffi::c_void,
    types::ForeignOwnable, //
};
use core::{
    ops::Deref,
    ptr::NonNull, //
};

/// A pointer to an entry of a [`BlockSet`](super::BlockSet) or a
/// [`RestoredBlockSet`](super::RestoredBlockSet).
///
/// Entries never move, so an index or a C structure can keep such a pointer beside the set that
/// the entry belongs to, where a reference would borrow the set.
///
/// # Examples
///
/// ```
/// use kernel::kho::{self, BlockSet, Entry};
///
/// if kho::is_enabled() {
///     let mut set = KBox::pin_init(BlockSet::<u64>::new(), GFP_KERNEL)?;
///     set.as_mut().grow(2)?;
///
///     let first = set.as_mut().reserve().ok_or(ENOSPC)?;
///     // SAFETY: The set outlives the entry: it is dropped at the end.
///     let first = unsafe { Entry::new(first) };
///
///     // The set isn't borrowed any more.
///     set.as_mut().reserve();
///     assert_eq!(*first, 0);
/// }
/// # Ok::<(), Error>(())
/// ```
///
/// # Invariants
///
/// The pointer is to a `T` that is valid for reads, and for writes by way of interior mutability,
/// as long as the `Entry` is used.
pub struct Entry<T: Preservable>(NonNull<T>);

impl<T: Preservable> Entry<T> {
    /// Makes an entry that outlives the borrow of `entry`.
    ///
    /// # Safety
    ///
    /// The entry's set must be alive whenever the result, or a copy of it, is used.
    #[inline]
    pub unsafe fn new(entry: &T) -> Self {
        // INVARIANT: By the safety requirements.
        Self(NonNull::from(entry))
    }

    /// Makes an entry of what [`Entry::into_raw`] gave.
    ///
    /// # Safety
    ///
    /// `ptr` must come from [`Entry::into_raw`], and the entry's set must be alive whenever the
    /// result, or a copy of it, is used.
    #[inline]
    pub unsafe fn from_raw(ptr: NonNull<T>) -> Self {
        // INVARIANT: By the safety requirements.
        Self(ptr)
    }

    /// The address of the entry, for keeping it in a C structure.
    #[inline]
    pub fn into_raw(self) -> NonNull<T> {
        self.0
    }
}

impl<T: Preservable> Clone for Entry<T> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Preservable> Copy for Entry<T> {}

impl<T: Preservable> Deref for Entry<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: By the type invariant.
        unsafe { self.0.as_ref() }
    }
}

// SAFETY: An `Entry` gives no more than a shared reference to a `T`, which is `Sync`.
unsafe impl<T: Preservable> Send for Entry<T> {}

// SAFETY: As above.
unsafe impl<T: Preservable> Sync for Entry<T> {}

// SAFETY: `into_foreign()` gives the address of a `T`, which is aligned as `T` is.
unsafe impl<T: Preservable + 'static> ForeignOwnable for Entry<T> {
    const FOREIGN_ALIGN: usize = align_of::<T>();

    type Borrowed<'a> = &'a T;
    type BorrowedMut<'a> = &'a T;

    #[inline]
    fn into_foreign(self) -> *mut c_void {
        self.0.as_ptr().cast()
    }

    #[inline]
    unsafe fn from_foreign(ptr: *mut c_void) -> Self {
        // INVARIANT: The pointer comes from `into_foreign()`, so from another `Entry`.
        // SAFETY: As such it is not null.
        Self(unsafe { NonNull::new_unchecked(ptr.cast()) })
    }

    #[inline]
    unsafe fn borrow<'a>(ptr: *mut c_void) -> &'a T {
        // SAFETY: The pointer comes from `into_foreign()`, so from an `Entry`, which by its
        // invariant points to a valid `T`.
        unsafe { &*ptr.cast() }
    }

    #[inline]
    unsafe fn borrow_mut<'a>(ptr: *mut c_void) -> &'a T {
        // SAFETY: By the safety requirements, which are those of `borrow()` and more.
        unsafe { Self::borrow(ptr) }
    }
}
