// SPDX-License-Identifier: GPL-2.0

//! Pages of a hand-over, seen as nothing but bytes.

use core::{
    mem::ManuallyDrop,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    kho::{
        Handle,
        Restored, //
    },
    prelude::*, //
};

pub(super) const SIZE: usize = bindings::PAGE_SIZE;

/// A page that belongs to the test, also while a parser has it.
///
/// # Invariants
///
/// The pointer is to a page from the page allocator, to which this owns a reference.
pub(super) struct Page(NonNull<[u8; SIZE]>);

impl Page {
    pub(super) fn new() -> Result<Self> {
        let flags = bindings::GFP_KERNEL | bindings::__GFP_ZERO;
        // SAFETY: FFI call without requirements.
        let page = unsafe { bindings::get_free_pages_noprof(flags, 0) };

        // INVARIANT: The page was just allocated.
        Ok(Self(NonNull::new(page as *mut [u8; SIZE]).ok_or(ENOMEM)?))
    }

    /// Where the page is.
    pub(super) fn address(&self) -> u64 {
        // SAFETY: The page is in the linear mapping; the call only computes with its address.
        unsafe { bindings::virt_to_phys(self.0.as_ptr().cast()) }
    }

    pub(super) fn handle(&self) -> Handle {
        // SAFETY: Nobody but the test and the parsers that it calls have anything here.
        unsafe { Handle::from_raw(self.address()) }
    }

    pub(super) fn bytes(&self) -> &[u8; SIZE] {
        // SAFETY: By the type invariant. Nobody writes to it while a parser has it.
        unsafe { self.0.as_ref() }
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8; SIZE] {
        // SAFETY: By the type invariant. No parser has it, as pages are not written to then.
        unsafe { self.0.as_mut() }
    }

    /// Whether a record lies in the page.
    pub(super) fn contains<T>(&self, record: &T) -> bool {
        let offset = core::ptr::from_ref(record)
            .addr()
            .wrapping_sub(self.0.as_ptr().addr());

        offset < SIZE
    }

    /// The integer of `N` bytes at an offset.
    pub(super) fn get<const N: usize>(&self, offset: usize) -> u64 {
        let mut value = 0;

        // The machine's own byte order is what both kernels have.
        for n in 0..N {
            let n = if cfg!(target_endian = "big") {
                n
            } else {
                N - 1 - n
            };

            value = value << 8 | u64::from(self.bytes()[offset + n]);
        }
        value
    }

    /// Writes an integer of `N` bytes at an offset. What does not fit is cut off.
    pub(super) fn set<const N: usize>(&mut self, offset: usize, value: u64) {
        for n in 0..N {
            let shift = 8 * if cfg!(target_endian = "big") {
                N - 1 - n
            } else {
                n
            };

            self.bytes_mut()[offset + n] = (value >> shift) as u8;
        }
    }

    fn folio(&self) -> *mut bindings::folio {
        // SAFETY: By the type invariant.
        unsafe { bindings::virt_to_folio(self.0.as_ptr().cast()) }
    }

    /// How many references there are.
    pub(super) fn references(&self) -> c_int {
        // SAFETY: By the type invariant.
        unsafe { bindings::folio_ref_count(self.folio()) }
    }

    /// Makes the page look like one that the previous kernel preserved.
    pub(super) fn preserve(&self) {
        // SAFETY: By the type invariant. Until it is restored nobody changes its references.
        unsafe { bindings::kho_mark_restorable(bindings::virt_to_page(self.0.as_ptr().cast())) };
    }

    /// Whether the page looks like one that the previous kernel preserved, and nobody restored.
    pub(super) fn is_preserved(&self) -> bool {
        self.handle().peek::<u64>().is_ok()
    }

    /// Takes the page back if nobody restored it.
    pub(super) fn take_back(&self) {
        if let Ok(restored) = Restored::<u64>::restore(self.handle()) {
            restored.leak();
        }
    }

    /// Gets one more reference, so that the page stays when whoever restored it gives it back.
    pub(super) fn keep(&self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::folio_get(self.folio()) };
    }

    /// Leaves the page to whoever restored it, and gets another one.
    pub(super) fn give_away(&mut self) -> Result {
        let _ = ManuallyDrop::new(core::mem::replace(self, Self::new()?));
        Ok(())
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is ours.
        unsafe { bindings::folio_put(self.folio()) };
    }
}
