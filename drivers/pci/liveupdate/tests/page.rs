// SPDX-License-Identifier: GPL-2.0

//! Pages of a hand-over, seen as nothing but bytes.

use crate::abi::Devices;
use core::{
    mem::ManuallyDrop,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    kho::{
        Format,
        HandedOver, //
    },
    prelude::*, //
};

pub(super) const SIZE: usize = bindings::PAGE_SIZE;

pub(super) const HEADER_SIZE: usize = 16;
pub(super) const RECORD_SIZE: usize = 8;

/// How many records fit into a block.
pub(super) const PER_BLOCK: usize = (SIZE - HEADER_SIZE) / RECORD_SIZE;

/// Where things are in the header.
pub(super) mod header {
    pub(crate) const VERSION: usize = 0;
    pub(crate) const NR_DEVICES: usize = 4;
    pub(crate) const DEVICES: usize = 8;
}

/// Where things are in a block.
pub(super) mod block {
    pub(crate) const NEXT: usize = 0;
    pub(crate) const COUNT: usize = 8;
}

/// Where things are in a record.
pub(super) mod record {
    pub(crate) const DOMAIN: usize = 0;
    pub(crate) const BDF: usize = 4;
    pub(crate) const REFCOUNT: usize = 6;
}

/// Where a block has its `n`th record.
pub(super) fn offset(n: usize) -> usize {
    HEADER_SIZE + n * RECORD_SIZE
}

/// Anything.
struct Any;

// SAFETY: It is never handed over by this name. Only tests look at their own pages with it.
unsafe impl Format for Any {
    const NAME: &'static CStr = c"kunit-any";
    type Record = u64;
    type Entry = ();
}

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

    fn as_any(&self) -> HandedOver<Any> {
        // SAFETY: Nobody but the test and the parsers that it calls have anything here.
        unsafe { HandedOver::new(self.address()) }
    }

    /// The page as the header of a hand-over.
    pub(super) fn hand_over(&self) -> HandedOver<Devices> {
        hand_over_at(self.address())
    }

    pub(super) fn bytes(&self) -> &[u8; SIZE] {
        // SAFETY: By the type invariant. Nobody writes to it while a parser has it.
        unsafe { self.0.as_ref() }
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8; SIZE] {
        // SAFETY: By the type invariant. No parser has it, as pages are not written to then.
        unsafe { self.0.as_mut() }
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
        // SAFETY: By the type invariant it is a page that is ours.
        unsafe { bindings::virt_to_folio(self.0.as_ptr().cast()) }
    }

    /// How many references there are.
    pub(super) fn references(&self) -> c_int {
        // SAFETY: By the type invariant it is a page that is ours.
        unsafe { bindings::folio_ref_count(self.folio()) }
    }

    /// Makes the page look like one that the previous kernel preserved.
    pub(super) fn preserve(&self) {
        // SAFETY: By the type invariant. Until it is restored nobody changes its references.
        unsafe { bindings::kho_mark_restorable(bindings::virt_to_page(self.0.as_ptr().cast())) };
    }

    /// Whether the page looks like one that the previous kernel preserved, and nobody restored.
    pub(super) fn is_preserved(&self) -> bool {
        self.as_any().record().is_ok()
    }

    /// Takes the page back if nobody restored it.
    pub(super) fn take_back(&self) {
        // Who drops it leaves it allocated.
        let _ = self.as_any().take_over();
    }

    /// Gets one more reference, so that the page stays when whoever restored it gives it back.
    pub(super) fn keep(&self) {
        // SAFETY: By the type invariant it is a page that is ours.
        unsafe { bindings::folio_get(self.folio()) };
    }

    /// Leaves the page to whoever restored it.
    pub(super) fn forget(self) {
        let _ = ManuallyDrop::new(self);
    }

    /// The same, and gets another one.
    pub(super) fn give_away(&mut self) -> Result {
        core::mem::replace(self, Self::new()?).forget();
        Ok(())
    }
}

/// A hand-over at an address, be there one or not.
pub(super) fn hand_over_at(address: u64) -> HandedOver<Devices> {
    // SAFETY: Tests run in kernels to which nothing was handed over but by them.
    unsafe { HandedOver::new(address) }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is ours.
        unsafe { bindings::folio_put(self.folio()) };
    }
}
