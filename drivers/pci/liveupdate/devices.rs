// SPDX-License-Identifier: GPL-2.0

//! All PCI devices.

use core::ptr::null_mut;
use kernel::{
    bindings,
    ffi::c_uint,
    pci,
    sync::aref::ARef, //
};

/// Goes through all devices of the system.
///
/// Each that is there from the beginning to the end is met; more than once perhaps if others are
/// removed meanwhile.
pub(crate) fn all() -> impl Iterator<Item = ARef<pci::Device>> {
    Devices { last: null_mut() }
}

/// # Invariants
///
/// `last` is null, or a device to which this owns a reference.
struct Devices {
    last: *mut bindings::pci_dev,
}

impl Iterator for Devices {
    type Item = ARef<pci::Device>;

    fn next(&mut self) -> Option<Self::Item> {
        const ANY: c_uint = !0;

        // INVARIANT: The function gives back the reference to the device that it is passed, and
        // gets one to the next, if there is one.
        // SAFETY: By the type invariant `last` is null, or a device to which we have a reference.
        self.last = unsafe { bindings::pci_get_device(ANY, ANY, self.last) };
        if self.last.is_null() {
            return None;
        }

        // SAFETY: By the type invariant the device is valid as long as it is `last`.
        Some(unsafe { pci::Device::from_raw(self.last) }.into())
    }
}

impl Drop for Devices {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; null is fine.
        unsafe { bindings::pci_dev_put(self.last) };
    }
}
