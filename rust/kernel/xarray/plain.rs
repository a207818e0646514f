// SPDX-License-Identifier: GPL-2.0

//! An array that is filled by its owner, and then looked up without lock.

use super::StoreError;
use crate::{
    alloc,
    bindings,
    build_assert::build_assert,
    prelude::*,
    types::{
        ForeignOwnable,
        Opaque, //
    }, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

/// An array of owned objects at sparse indices, for lookups that don't contend.
///
/// Other than an [`XArray`](super::XArray), it doesn't track which indices are free, and it
/// doesn't replace what is at an index. As only its owner can change it, anybody who has a
/// reference can look up an object without lock.
///
/// # Invariants
///
/// `xa` is initialised, and its entries came from `T::into_foreign`.
///
/// # Examples
///
/// ```
/// use kernel::{sync::Arc, xarray::PlainXArray};
///
/// let mut xa = KBox::pin_init(PlainXArray::new(), GFP_KERNEL)?;
///
/// xa.as_mut().insert(7, KBox::new(0xbeef, GFP_KERNEL)?, GFP_KERNEL)?;
/// // The index is taken: the object comes back.
/// let refused = xa.as_mut().insert(7, KBox::new(0xdead, GFP_KERNEL)?, GFP_KERNEL);
/// assert!(refused.is_err_and(|refused| refused.error == EBUSY && *refused.value == 0xdead));
///
/// assert_eq!(xa.get(7), Some(&0xbeef));
/// assert_eq!(xa.get(0), None);
/// assert!(xa.iter().eq([(7, &0xbeef)]));
/// assert_eq!(xa.as_mut().remove(7).as_deref(), Some(&0xbeef));
/// assert_eq!(xa.get(7), None);
///
/// // What is in the array is dropped with it.
/// let mut xa = KBox::pin_init(PlainXArray::new(), GFP_KERNEL)?;
/// let shared = Arc::new(1, GFP_KERNEL)?;
///
/// xa.as_mut().insert(7, shared.clone(), GFP_KERNEL)?;
/// drop(xa);
/// assert!(Arc::into_unique_or_drop(shared).is_some());
/// # Ok::<(), Error>(())
/// ```
#[pin_data(PinnedDrop)]
pub struct PlainXArray<T: ForeignOwnable> {
    #[pin]
    xa: Opaque<bindings::xarray>,
    _objects: PhantomData<T>,
}

impl<T: ForeignOwnable> PlainXArray<T> {
    /// Creates an empty array.
    pub fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            // INVARIANT: The array is initialised, and empty.
            // SAFETY: `xa` is valid while the closure is called.
            xa <- Opaque::ffi_init(|xa| unsafe { bindings::xa_init_flags(xa, 0) }),
            _objects: PhantomData,
        })
    }

    /// Puts an object at an index that is free.
    ///
    /// Context: May sleep if `gfp` allows it.
    ///
    /// # Errors
    ///
    /// `EBUSY` when the index is taken, `ENOMEM`. The object comes back with the error.
    pub fn insert(
        self: Pin<&mut Self>,
        index: usize,
        value: T,
        gfp: alloc::Flags,
    ) -> Result<(), StoreError<T>> {
        build_assert!(
            T::FOREIGN_ALIGN >= 4,
            "pointers stored in XArray must be 4-byte aligned"
        );
        let value = value.into_foreign();

        // INVARIANT: `value` came from `T::into_foreign`.
        // SAFETY: By the type invariant the array is initialised, and it is locked as
        // `__xa_insert()` wants it.
        let result = unsafe {
            bindings::xa_lock(self.xa.get());
            let result = bindings::__xa_insert(self.xa.get(), index, value, gfp.as_raw());
            bindings::xa_unlock(self.xa.get());
            result
        };

        // Whoever fills an array does this often.
        if result == 0 {
            return Ok(());
        }
        Err(StoreError {
            error: Error::from_errno(result),
            // SAFETY: `value` came from `T::into_foreign`, and `__xa_insert()` didn't take it.
            value: unsafe { T::from_foreign(value) },
        })
    }

    /// Takes the object at an index out of the array.
    ///
    /// Context: Any context.
    pub fn remove(self: Pin<&mut Self>, index: usize) -> Option<T> {
        // SAFETY: By the type invariant the array is initialised.
        let object = unsafe { bindings::xa_erase(self.xa.get(), index) };

        // SAFETY: By the type invariant the object, if any, came from `T::into_foreign`. Nobody
        // has borrowed it, as the array is borrowed mutably.
        unsafe { T::try_from_foreign(object) }
    }

    /// The object at an index.
    ///
    /// Context: Any context.
    #[inline]
    pub fn get(&self, index: usize) -> Option<T::Borrowed<'_>> {
        // SAFETY: By the type invariant the array is initialised.
        let object = unsafe { bindings::xa_load(self.xa.get(), index) };

        // SAFETY: By the type invariant the object came from `T::into_foreign`. It stays in the
        // array while that is borrowed, as removing it takes the array mutably.
        NonNull::new(object).map(|object| unsafe { T::borrow(object.as_ptr()) })
    }

    /// Goes through all objects with their indices, in the order of these.
    ///
    /// Context: Any context.
    pub fn iter(&self) -> impl Iterator<Item = (usize, T::Borrowed<'_>)> {
        // SAFETY: As in `get()`.
        self.pointers()
            .map(|(index, object)| (index, unsafe { T::borrow(object.as_ptr()) }))
    }

    fn pointers(&self) -> impl Iterator<Item = (usize, NonNull<c_void>)> + '_ {
        let mut index = 0;
        let mut find: unsafe extern "C" fn(_, _, _, _) -> _ = bindings::xa_find;

        core::iter::from_fn(move || {
            // SAFETY: By the type invariant the array is initialised, and `index` is valid for
            // writes.
            let object =
                unsafe { find(self.xa.get(), &mut index, usize::MAX, bindings::XA_PRESENT) };

            find = bindings::xa_find_after;
            NonNull::new(object).map(|object| (index, object))
        })
    }
}

#[pinned_drop]
impl<T: ForeignOwnable> PinnedDrop for PlainXArray<T> {
    fn drop(self: Pin<&mut Self>) {
        if core::mem::needs_drop::<T>() {
            for (_, object) in self.pointers() {
                // SAFETY: By the type invariant the object came from `T::into_foreign`. It stays
                // in the array, which nobody looks into any more.
                drop(unsafe { T::from_foreign(object.as_ptr()) });
            }
        }

        // SAFETY: By the type invariant the array is initialised.
        unsafe { bindings::xa_destroy(self.xa.get()) };
    }
}

// SAFETY: The array owns its objects, which are `Send`.
unsafe impl<T: ForeignOwnable + Send> Send for PlainXArray<T> {}

// SAFETY: A shared reference to the array gives out what its objects lend, and no more, so `T` has
// to be `Sync`; whoever is given the array by `Send` may drop the objects, so it has to be `Send`.
unsafe impl<T: ForeignOwnable + Send + Sync> Sync for PlainXArray<T> {}
