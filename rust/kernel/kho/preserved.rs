// SPDX-License-Identifier: GPL-2.0

//! Memory of others that the next kernel is to leave alone.

use crate::{
    bindings,
    error::to_result,
    prelude::*,
    types::NotThreadSafe, //
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

/// A look at which memory the next kernel will leave alone.
///
/// As long as there is one, nobody can preserve memory, or unpreserve any, and nobody else can
/// look: who has many questions lets others have their turn now and then, and nobody has two of
/// these. What was preserved may be unpreserved right after that: see [`unpreserved`].
///
/// # Invariants
///
/// It was begun, by this thread.
///
/// # Examples
///
/// ```
/// use kernel::kho::Lookup;
///
/// let mut lookup = Lookup::new();
///
/// // Nobody preserves what is at the start of memory, and there is no end of it.
/// assert!(!lookup.is_preserved(0, 4096));
/// assert!(!lookup.is_preserved(u64::MAX - 4095, 8192));
/// ```
pub struct Lookup(bindings::kho_lookup, NotThreadSafe);

impl Lookup {
    /// Begins one.
    ///
    /// Context: May sleep. Takes a mutex, until it is dropped.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        let mut lookup = bindings::kho_lookup::default();

        // SAFETY: The function fills it in.
        unsafe { bindings::kho_lookup_begin(&mut lookup) };
        // INVARIANT: It just was.
        Self(lookup, NotThreadSafe)
    }

    /// Lets others have their turn.
    ///
    /// Context: May sleep.
    pub fn pause(&mut self) {
        // SAFETY: By the type invariant it was begun by this thread; and it is again.
        unsafe {
            bindings::kho_lookup_end(&mut self.0);
            bindings::kho_lookup_begin(&mut self.0);
        }
    }

    /// Tells whether a range of physical memory will be left alone, all of it. No memory is where
    /// there can't be any.
    ///
    /// It takes least if one that is near was asked for before.
    #[inline]
    pub fn is_preserved(&mut self, address: u64, size: u64) -> bool {
        // SAFETY: By the type invariant it was begun. The function takes a range that has no end
        // for what it is.
        unsafe { bindings::kho_lookup(&mut self.0, address, size) }
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        // SAFETY: By the type invariant it was begun by this thread.
        unsafe { bindings::kho_lookup_end(&mut self.0) };
    }
}

/// Counts how often memory was unpreserved: a number that changes when any is. As long as there is
/// a [`Lookup`], none can be.
///
/// # Examples
///
/// ```
/// use kernel::kho;
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
