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
    // SAFETY: The device is valid, and the host bridges of tests stay.
    to_result(unsafe { bindings::pci_liveupdate_preserve(pdev.as_raw()) })
}

/// Unpreserves a device, whether it is preserved or not.
pub(crate) fn unpreserve(pdev: &pci::Device) -> Result {
    // SAFETY: The device is valid. The function copes with devices that are not preserved.
    to_result(unsafe { bindings::pci_liveupdate_unpreserve(pdev.as_raw()) })
}
