// SPDX-License-Identifier: GPL-2.0

//! Memory of others that the next kernel is to leave alone.

use crate::{
    bindings,
    error::to_result,
    prelude::*, //
};
use core::ptr::NonNull;

/// A folio that the next kernel leaves alone, until this is dropped. Whoever is told of it there
/// can restore it.
///
/// # Invariants
///
/// The folio is valid, and preserved by this object.
pub struct Preserved(NonNull<bindings::folio>);

impl Preserved {
    /// Preserves the folio at a physical address.
    ///
    /// Context: May sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` when it is where the next kernel starts, `ENOMEM`.
    ///
    /// # Safety
    ///
    /// The address must be that of a folio that is allocated, stays so until the object is dropped,
    /// and is not preserved by anybody else.
    pub unsafe fn new(address: u64) -> Result<Self> {
        // SAFETY: The caller guarantees that a folio is there, which is in the linear mapping.
        let folio = unsafe { bindings::virt_to_folio(bindings::phys_to_virt(address)) };

        // SAFETY: The caller guarantees that it is a valid folio.
        to_result(unsafe { bindings::kho_preserve_folio(folio) })?;
        // INVARIANT: The caller guarantees that the folio stays valid, and it was just preserved.
        NonNull::new(folio).map(Self).ok_or(EINVAL)
    }
}

impl Drop for Preserved {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the folio is valid, and preserved.
        unsafe { bindings::kho_unpreserve_folio(self.0.as_ptr()) };
    }
}

// SAFETY: A folio can be unpreserved on any thread.
unsafe impl Send for Preserved {}

/// Tells whether a range of physical memory will be left alone by the next kernel, all of it. No
/// memory is where there can't be any.
///
/// `order` is in which order of pages to look first, 0 at first; it is changed, for what is asked
/// next. What is preserved may be unpreserved right after that: see [`unpreserved`].
///
/// Context: May sleep.
#[inline]
pub fn is_preserved(address: u64, size: u64, order: &mut u32) -> bool {
    // SAFETY: The function takes a range that has no end, and an order that is too large, for what
    // they are; and `order` can be written to.
    unsafe { bindings::kho_is_preserved(address, size, order) }
}

/// Counts how often memory was unpreserved: a number that changes before any is.
///
/// # Examples
///
/// ```
/// use kernel::kho;
///
/// // Nobody preserves what is at the start of memory.
/// assert!(!kho::is_preserved(0, 4096, &mut 0));
/// assert!(!kho::is_preserved(u64::MAX - 4095, 8192, &mut 0));
/// assert!(!kho::is_preserved(0, 4096, &mut u32::MAX));
///
/// let before = kho::unpreserved();
///
/// assert!(kho::unpreserved() >= before);
/// ```
#[inline]
pub fn unpreserved() -> usize {
    // SAFETY: FFI call without requirements.
    unsafe { bindings::kho_unpreserved() }
}
