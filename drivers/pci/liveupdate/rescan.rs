// SPDX-License-Identifier: GPL-2.0

//! All PCI devices, while none comes or goes.

use crate::device::Device;
use core::{
    marker::PhantomData,
    ptr::null_mut, //
};
use kernel::{
    bindings,
    ffi::c_uint,
    pci,
    sync::aref::ARef,
    types::NotThreadSafe, //
};

/// No device is set up or removed as long as this is there.
///
/// # Invariants
///
/// The PCI core's `pci_rescan_remove_lock` is held.
pub(crate) struct RescanLock(NotThreadSafe);

impl RescanLock {
    /// Context: May sleep. For the order of locks see the top of the crate.
    pub(crate) fn lock() -> Self {
        // SAFETY: FFI call without requirements.
        unsafe { bindings::pci_lock_rescan_remove() };

        // INVARIANT: It was just locked.
        Self(NotThreadSafe)
    }

    /// Goes through all devices of the system.
    pub(crate) fn devices(&self) -> impl Iterator<Item = ARef<pci::Device>> + '_ {
        Devices {
            last: null_mut(),
            _lock: PhantomData,
        }
    }
}

impl Drop for RescanLock {
    fn drop(&mut self) {
        // SAFETY: By the type invariant it is locked, and by this thread, as the type is not
        // `Send`.
        unsafe { bindings::pci_unlock_rescan_remove() };
    }
}

/// # Invariants
///
/// `last` is null, or a device to which this owns a reference.
struct Devices<'a> {
    last: *mut bindings::pci_dev,
    _lock: PhantomData<&'a RescanLock>,
}

impl Iterator for Devices<'_> {
    type Item = ARef<pci::Device>;

    fn next(&mut self) -> Option<Self::Item> {
        const ANY: c_uint = !0;

        // INVARIANT: The function gives back the reference to the device that it is passed, and
        // gets one to the next, if there is one.
        // SAFETY: By the type invariant.
        self.last = unsafe { bindings::pci_get_device(ANY, ANY, self.last) };
        if self.last.is_null() {
            return None;
        }

        // SAFETY: By the type invariant the device is valid as long as it is `last`.
        Some(unsafe { Device::from_raw(self.last) }.get())
    }
}

impl Drop for Devices<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; null is fine.
        unsafe { bindings::pci_dev_put(self.last) };
    }
}
