// SPDX-License-Identifier: GPL-2.0

//! All PCI devices, while none comes or goes.

use crate::devices;
use kernel::{
    bindings,
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
        devices::all()
    }
}

impl Drop for RescanLock {
    fn drop(&mut self) {
        // SAFETY: By the type invariant it is locked, and by this thread, as the type is not
        // `Send`.
        unsafe { bindings::pci_unlock_rescan_remove() };
    }
}
