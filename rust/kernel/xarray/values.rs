// SPDX-License-Identifier: GPL-2.0

//! An array of numbers, which are looked up without lock.

use crate::{
    alloc,
    bindings,
    error::to_result,
    prelude::*,
    types::Opaque, //
};

/// An array of small numbers at sparse indices, for lookups that don't contend.
///
/// Other than an [`XArray`](super::XArray) it holds the numbers themselves, so that it is shared
/// and changed without more ado: each call is atomic.
///
/// # Invariants
///
/// `xa` is initialised, and its entries are value entries.
///
/// # Examples
///
/// ```
/// use kernel::xarray::ValueXArray;
///
/// let xa = KBox::pin_init(ValueXArray::new(), GFP_KERNEL)?;
///
/// xa.insert(7, 42, GFP_KERNEL)?;
/// assert_eq!(xa.insert(7, 1, GFP_KERNEL), Err(EBUSY));
/// assert_eq!(xa.get(7), Some(42));
/// assert_eq!(xa.get(6), None);
///
/// // To change what is there needs no memory.
/// xa.store(7, 0, GFP_KERNEL)?;
/// assert!(xa.iter().eq([(7, 0)]));
///
/// xa.clear();
/// assert_eq!(xa.get(7), None);
/// # Ok::<(), Error>(())
/// ```
#[pin_data(PinnedDrop)]
pub struct ValueXArray {
    #[pin]
    xa: Opaque<bindings::xarray>,
}

/// A number as an entry: what `xa_mk_value()` makes of it.
fn entry(value: u16) -> *mut c_void {
    core::ptr::without_provenance_mut(usize::from(value) << 1 | 1)
}

/// The number in an entry, if it is one, as `xa_to_value()` has it.
fn value(entry: *mut c_void) -> Option<u16> {
    (entry.addr() & 1 != 0).then(|| (entry.addr() >> 1) as u16)
}

impl ValueXArray {
    /// Creates an array without numbers.
    pub fn new() -> impl PinInit<Self> {
        // INVARIANT: There are no entries.
        pin_init!(Self {
            // SAFETY: `xa` is valid while the closure is called.
            xa <- Opaque::ffi_init(|xa| unsafe { bindings::xa_init_flags(xa, 0) }),
        })
    }

    /// The number at `index`.
    ///
    /// Context: Any context.
    #[inline]
    pub fn get(&self, index: usize) -> Option<u16> {
        // SAFETY: By the type invariant `xa` is initialised.
        value(unsafe { bindings::xa_load(self.xa.get(), index) })
    }

    /// Puts a number at `index`, if there is none.
    ///
    /// Context: As `gfp`, and not in an interrupt. Takes the lock of the array.
    ///
    /// # Errors
    ///
    /// `EBUSY` when there is one, `ENOMEM`.
    pub fn insert(&self, index: usize, value: u16, gfp: alloc::Flags) -> Result {
        // INVARIANT: It is a value entry.
        // SAFETY: By the type invariant `xa` is initialised.
        to_result(unsafe { bindings::xa_insert(self.xa.get(), index, entry(value), gfp.as_raw()) })
    }

    /// Puts a number at `index`, in place of the one that is there.
    ///
    /// Context: As `gfp`, and not in an interrupt. If there is a number, no memory is needed. Takes
    /// the lock of the array.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn store(&self, index: usize, value: u16, gfp: alloc::Flags) -> Result {
        // INVARIANT: It is a value entry.
        // SAFETY: By the type invariant `xa` is initialised. What the function returns is an old
        // entry, or an error, which is what `xa_err()` tells.
        to_result(unsafe {
            bindings::xa_err(bindings::xa_store(
                self.xa.get(),
                index,
                entry(value),
                gfp.as_raw(),
            ))
        })
    }

    /// Goes through the numbers, in the order of their indices.
    ///
    /// Those that come or go meanwhile are met or not.
    pub fn iter(&self) -> impl Iterator<Item = (usize, u16)> + '_ {
        let mut index = 0;
        let mut find: unsafe extern "C" fn(_, _, _, _) -> _ = bindings::xa_find;

        core::iter::from_fn(move || {
            // SAFETY: By the type invariant `xa` is initialised, and `index` can be written to.
            let entry =
                unsafe { find(self.xa.get(), &mut index, usize::MAX, bindings::XA_PRESENT) };

            find = bindings::xa_find_after;
            value(entry).map(|value| (index, value))
        })
    }

    /// Removes all numbers.
    ///
    /// Context: Not in an interrupt. Takes the lock of the array.
    pub fn clear(&self) {
        // SAFETY: By the type invariant `xa` is initialised, as it is after that.
        unsafe { bindings::xa_destroy(self.xa.get()) };
    }
}

#[pinned_drop]
impl PinnedDrop for ValueXArray {
    fn drop(self: Pin<&mut Self>) {
        self.clear();
    }
}

// SAFETY: An array is not bound to a thread.
unsafe impl Send for ValueXArray {}

// SAFETY: Each call is atomic, by the lock of the array or RCU.
unsafe impl Sync for ValueXArray {}
