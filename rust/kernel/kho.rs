// SPDX-License-Identifier: GPL-2.0

//! Memory that outlives a kernel: Kexec HandOver (KHO).
//!
//! One kernel puts what the next one needs to know into memory that KHO keeps, and hands over its
//! physical address, a [`Handle`]. The types follow the memory through its life:
//!
//! - [`Preserved`] is memory of this kernel that the next one will find.
//! - [`Restored`] is memory that the previous kernel preserved, taken over by this one.
//! - [`BlockSet`] and [`RestoredBlockSet`] are the same for any number of entries of one type.
//!
//! Each owns its memory, and gives it back when it is dropped. What ends with the kernel needs no
//! care: when the machine jumps into the next kernel, everything that is preserved at that moment
//! is handed over.
//!
//! What comes from another kernel is not trusted: a type must be [`Preservable`] to be read, and a
//! [`Handle`] at which nothing was preserved, or that was restored before, is an error.
//!
//! C headers: [`include/linux/kexec_handover.h`](srctree/include/linux/kexec_handover.h),
//! [`include/linux/kho_block.h`](srctree/include/linux/kho_block.h)

use crate::{
    bindings,
    error::{
        from_err_ptr,
        to_result, //
    },
    fmt,
    prelude::*,
    sync::atomic::{
        Atomic,
        AtomicType, //
    }, //
};
use core::{
    mem::{
        ManuallyDrop,
        MaybeUninit, //
    },
    ops::{
        Deref,
        DerefMut, //
    },
    ptr::NonNull, //
};

// Block sets are built with LUO.
#[cfg(CONFIG_LIVEUPDATE)]
mod block;
#[cfg(CONFIG_LIVEUPDATE)]
mod entry;

#[cfg(CONFIG_LIVEUPDATE)]
pub use self::block::{
    BlockSet,
    ChainError,
    RestoreBlocks,
    RestoredBlockSet, //
};
#[cfg(CONFIG_LIVEUPDATE)]
pub use self::entry::Entry;

/// Tells whether Kexec HandOver is enabled (`kho=on`, or its default).
///
/// Without it nothing can be preserved.
#[inline]
pub fn is_enabled() -> bool {
    // SAFETY: FFI call without requirements.
    unsafe { bindings::kho_is_enabled() }
}

/// Where preserved memory is: its physical address, which is the same in both kernels.
///
/// This is what is handed over. It does not own the memory, and there may be none: whoever
/// restores from it finds out.
///
/// # Invariants
///
/// If the previous kernel preserved memory here, it is meant for whoever has the handle, and
/// nobody else uses it.
///
/// # Examples
///
/// ```
/// use kernel::kho::Handle;
///
/// // SAFETY: No kernel preserves memory at an address that isn't that of a page.
/// let handle = unsafe { Handle::from_raw(0x1234_5001) };
/// assert_eq!(handle.into_raw(), 0x1234_5001);
/// assert!(Handle::NONE.is_none());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Handle(u64);

impl Handle {
    /// The handle that stands for no memory.
    pub const NONE: Self = Self(0);

    /// Takes a handle from what was handed over.
    ///
    /// # Safety
    ///
    /// If the previous kernel preserved memory at `address`, it must be meant for the caller.
    /// Others may use such memory without restoring it, and don't expect that somebody frees it.
    #[inline]
    pub const unsafe fn from_raw(address: u64) -> Self {
        // INVARIANT: By the safety requirements.
        Self(address)
    }

    /// The number to hand over.
    #[inline]
    pub const fn into_raw(self) -> u64 {
        self.0
    }

    /// Whether this is [`Handle::NONE`].
    #[inline]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// The handle of memory of this kernel.
    fn of<T>(memory: NonNull<T>) -> Self {
        // INVARIANT: It isn't memory of the previous kernel, or we took it over.
        // SAFETY: `memory` points into the kernel's linear mapping, as all memory from
        // `kho_alloc_preserve()` and `kho_restore_folio()` does; the call only computes with it.
        Self(unsafe { bindings::virt_to_phys(memory.as_ptr().cast()) })
    }

    /// Copies a `T` from memory that the previous kernel preserved, and leaves the memory as it
    /// is.
    ///
    /// For those who need to know what was handed over before they can take it over. While this
    /// runs, nobody else can restore the memory, or look at it.
    ///
    /// # Errors
    ///
    /// `ENOENT` when no memory for a `T` can be restored from here.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::kho::{self, Handle, Preserved};
    ///
    /// if kho::is_enabled() {
    ///     let mine = Preserved::new(42u64)?;
    ///
    ///     // The next kernel can look, this one can't: it isn't a previous kernel's.
    ///     assert!(mine.handle().peek::<u64>().is_err_and(|error| error == ENOENT));
    /// }
    /// # Ok::<(), Error>(())
    /// ```
    pub fn peek<T: Preservable>(self) -> Result<T> {
        let mut value = MaybeUninit::<T>::uninit();

        // SAFETY: The function accepts any address, and `value` has room for a `T`.
        to_result(unsafe {
            bindings::kho_peek(self.0, value.as_mut_ptr().cast(), size_of::<T>())
        })?;

        // SAFETY: All of `value` was written to, and any bytes are a valid `T`.
        Ok(unsafe { value.assume_init() })
    }

    /// Takes over at least `size` bytes that the previous kernel preserved here.
    ///
    /// The caller owns the folio that starts at the returned address.
    fn restore(self, size: usize) -> Option<NonNull<c_void>> {
        // SAFETY: The function accepts any address.
        let folio = NonNull::new(unsafe { bindings::kho_try_restore_folio(self.0, size) })?;

        // SAFETY: The folio was just restored, and is ours.
        NonNull::new(unsafe { bindings::folio_address(folio.as_ptr()) })
    }
}

/// Frees restored memory.
///
/// # Safety
///
/// `memory` must come from [`Handle::restore`], and nobody may use it any more.
unsafe fn free_restored(memory: NonNull<c_void>) {
    // SAFETY: By the safety requirements `memory` is the start of a folio that the caller owns.
    unsafe { bindings::folio_put(bindings::virt_to_folio(memory.as_ptr())) };
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// Types whose values may lie in preserved memory.
///
/// They are shared between kernels, and within a kernel between whoever holds a reference, so
/// fields that change while they are shared are [`Atomic`]. That is why this is a trait of its own
/// and not [`FromBytes`](crate::transmute::FromBytes), which rules out interior mutability.
///
/// # Safety
///
/// - Any bytes must be a valid value.
/// - The type must have no padding: every byte is handed to the next kernel.
/// - Interior mutability must be by [`Atomic`] only.
/// - Dropping a value must have no effect.
///
/// # Examples
///
/// ```
/// use kernel::{kho::Preservable, prelude::*, sync::atomic::Atomic};
///
/// #[repr(C)]
/// struct Record {
///     id: u32,
///     state: Atomic<u32>,
/// }
/// static_assert!(size_of::<Record>() == 8);
///
/// // SAFETY: Two integers of the same size have no padding, and any bytes are valid. One of them
/// // is atomic, and dropping them has no effect.
/// unsafe impl Preservable for Record {}
/// # Ok::<(), Error>(())
/// ```
pub unsafe trait Preservable: Send + Sync {}

macro_rules! impl_preservable {
    ($($({$($generics:tt)*})? $t:ty, )*) => {
        // SAFETY: Safety comments written in the macro invocation.
        $(unsafe impl$($($generics)*)? Preservable for $t {})*
    };
}

impl_preservable! {
    // SAFETY: All bytes are valid values of these, and they have neither padding nor interior
    // mutability.
    u8, u16, u32, u64, usize,
    i8, i16, i32, i64, isize,

    // SAFETY: An array has what its elements have, and nothing between them.
    {<T: Preservable, const N: usize>} [T; N],

    // SAFETY: An `Atomic<T>` is laid out as `T`, which is a plain integer.
    {<T: Preservable + AtomicType>} Atomic<T>,
}

/// Memory of this kernel that the next one will find.
///
/// It is preserved as long as the object lives. Dropping it takes that back, and frees the memory,
/// unless it was [handed over](Preserved::hand_over).
///
/// # Invariants
///
/// The pointer is to an initialised `T` in memory from `kho_alloc_preserve()` that is preserved,
/// and that this object owns.
///
/// # Examples
///
/// ```
/// use kernel::kho::{self, Preserved};
///
/// if kho::is_enabled() {
///     let mut counter = Preserved::new(41u64)?;
///     *counter += 1;
///     assert_eq!(*counter, 42);
///     assert!(!counter.handle().is_none());
///     // Dropped here: the next kernel won't find it.
/// }
/// # Ok::<(), Error>(())
/// ```
pub struct Preserved<T: Preservable>(NonNull<T>);

impl<T: Preservable> Preserved<T> {
    /// Allocates memory for a `T`, zeroed, and preserves it.
    ///
    /// The memory is a power of two of pages, so small objects are better put together.
    ///
    /// Context: May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM` when there is no memory, `E2BIG` when `T` is too large to be physically
    /// contiguous, `EOPNOTSUPP` when KHO is not enabled.
    pub fn zeroed() -> Result<Self> {
        const { assert!(size_of::<T>() > 0 && align_of::<T>() <= bindings::PAGE_SIZE) };

        if !is_enabled() {
            return Err(EOPNOTSUPP);
        }

        // SAFETY: FFI call without requirements.
        let memory = from_err_ptr(unsafe { bindings::kho_alloc_preserve(size_of::<T>()) })?;

        // INVARIANT: The memory was just allocated for us, zeroed, and all bytes are a valid `T`;
        // it starts on a page, which is as aligned as `T` needs.
        Ok(Self(NonNull::new(memory.cast()).ok_or(ENOMEM)?))
    }

    /// Allocates memory for `value`, and preserves it.
    ///
    /// Context: May sleep.
    ///
    /// # Errors
    ///
    /// As for [`Preserved::zeroed`].
    pub fn new(value: T) -> Result<Self> {
        let mut this = Self::zeroed()?;

        *this = value;
        Ok(this)
    }

    /// Where the next kernel finds the memory.
    pub fn handle(&self) -> Handle {
        Handle::of(self.0)
    }

    /// Leaves the memory to the next kernel for good.
    ///
    /// It stays preserved until the machine jumps; nobody can take that back any more.
    pub fn hand_over(self) -> Handle {
        ManuallyDrop::new(self).handle()
    }
}

impl<T: Preservable> Deref for Preserved<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: By the type invariant the pointer is to a `T` that `self` owns.
        unsafe { self.0.as_ref() }
    }
}

impl<T: Preservable> DerefMut for Preserved<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: By the type invariant the pointer is to a `T` that `self` owns, and `self` is
        // borrowed mutably.
        unsafe { self.0.as_mut() }
    }
}

impl<T: Preservable> Drop for Preserved<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the memory is from `kho_alloc_preserve()` and ours, so
        // nobody uses it after this.
        unsafe { bindings::kho_unpreserve_free(self.0.as_ptr().cast()) };
    }
}

// SAFETY: The object owns its memory, and `T` is `Send`.
unsafe impl<T: Preservable> Send for Preserved<T> {}

// SAFETY: A shared reference to the object gives no more than one to `T`, which is `Sync`.
unsafe impl<T: Preservable> Sync for Preserved<T> {}

/// Memory that the previous kernel preserved, taken over by this one.
///
/// Dropping it frees the memory.
///
/// # Invariants
///
/// The pointer is to a `T` at the start of a folio that was restored from KHO, which is at least
/// as large as `T`, and of which this object owns the only reference.
pub struct Restored<T: Preservable>(NonNull<T>);

impl<T: Preservable> Restored<T> {
    /// Takes over what the previous kernel preserved at `handle`.
    ///
    /// Of several callers with the same handle, one succeeds.
    ///
    /// # Errors
    ///
    /// `ENOENT` when nothing was preserved there, or less than a `T`, or when it was restored
    /// before.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::kho::{Handle, Restored};
    ///
    /// // Nothing was preserved here, and the address is not even that of a page.
    /// // SAFETY: So it isn't meant for anybody.
    /// let handle = unsafe { Handle::from_raw(0x1001) };
    /// let restored = Restored::<u64>::restore(handle);
    /// assert!(restored.is_err_and(|error| error == ENOENT));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn restore(handle: Handle) -> Result<Self> {
        const { assert!(align_of::<T>() <= bindings::PAGE_SIZE) };

        let memory = handle.restore(size_of::<T>()).ok_or(ENOENT)?;

        // INVARIANT: The folio was just restored for us, with room for a `T`, which any bytes are;
        // it starts on a page, which is as aligned as `T` needs.
        Ok(Self(memory.cast()))
    }

    /// Where the memory is.
    pub fn handle(&self) -> Handle {
        Handle::of(self.0)
    }

    /// Keeps the memory allocated for good.
    ///
    /// For what can't be made sense of: others may still rely on what it describes.
    pub fn leak(self) {
        let _ = ManuallyDrop::new(self);
    }
}

impl<T: Preservable> Deref for Restored<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: By the type invariant the pointer is to a `T` that `self` owns.
        unsafe { self.0.as_ref() }
    }
}

impl<T: Preservable> Drop for Restored<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the memory was restored, and is ours.
        unsafe { free_restored(self.0.cast()) };
    }
}

// SAFETY: The object owns its memory, and `T` is `Send`.
unsafe impl<T: Preservable> Send for Restored<T> {}

// SAFETY: A shared reference to the object gives no more than one to `T`, which is `Sync`.
unsafe impl<T: Preservable> Sync for Restored<T> {}
