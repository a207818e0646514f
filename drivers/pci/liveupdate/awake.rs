// SPDX-License-Identifier: GPL-2.0

//! Devices that do not sleep.
//!
//! An incoming device may be at work though nobody uses it, or may be below a bridge that is found
//! before it. So it does not sleep, and with it no bridge above it does, until it is finished. Nor
//! does the bridge above an outgoing device.

use crate::state::Device;
use kernel::{
    bindings,
    error::to_result,
    pci,
    prelude::*,
    sync::aref::ARef, //
};

/// A device that does not sleep while this exists, nor does any bridge above it.
///
/// # Invariants
///
/// The object owns one of the counts of the device's runtime PM.
pub(crate) struct Awake(ARef<pci::Device>);

impl Awake {
    /// Context: May sleep, until the device has woken up.
    ///
    /// # Errors
    ///
    /// `ENODEV` when it is being removed, and what is in the way of waking it.
    fn wake(device: Device<'_>) -> Result<Self> {
        // SAFETY: The device is valid.
        match to_result(unsafe { bindings::pm_runtime_resume_and_get(device.as_generic()) }) {
            // That is how runtime PM refuses who is on the way out.
            Err(EACCES) => return Err(ENODEV),
            result => result?,
        }
        // INVARIANT: The function counted.
        Ok(Self(device.get()))
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        // SAFETY: The device is valid, and by the type invariant the count is ours to give back.
        unsafe { bindings::pm_runtime_put(Device::new(&self.0).as_generic()) };
    }
}

impl Device<'_> {
    /// Wakes the bridge above the device, if there is one.
    pub(crate) fn wake_bridge(self) -> Result<Option<Awake>> {
        self.upstream_bridges()
            .next()
            .map(Awake::wake)
            .transpose()
            .inspect_err(|error| {
                dev_warn!(
                    self.as_dev(),
                    "liveupdate: cannot be preserved: the bridge above it does not wake up: error {}\n",
                    error.to_errno()
                );
            })
    }
}
