// SPDX-License-Identifier: GPL-2.0

//! Calls of the PCI core as no driver should make them, for tests.
//!
//! [`kernel::pci::liveupdate`] doesn't let a driver unpreserve what it didn't preserve, nor forget
//! to.

use kernel::{
    bindings,
    error::to_result,
    pci,
    prelude::*, //
};

/// Preserves a device, with nobody who has to unpreserve it.
pub(crate) fn preserve(pdev: &pci::Device) -> Result {
    let pdev = core::ptr::from_ref(pdev).cast_mut();

    // SAFETY: `pci::Device` is a transparent wrapper of a valid `struct pci_dev`.
    to_result(unsafe { bindings::pci_liveupdate_preserve(pdev.cast()) })
}

/// Unpreserves a device, whether it is preserved or not.
pub(crate) fn unpreserve(pdev: &pci::Device) -> Result {
    let pdev = core::ptr::from_ref(pdev).cast_mut();

    // SAFETY: `pci::Device` is a transparent wrapper of a valid `struct pci_dev`. The function
    // copes with devices that are not preserved.
    to_result(unsafe { bindings::pci_liveupdate_unpreserve(pdev.cast()) })
}
