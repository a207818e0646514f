// SPDX-License-Identifier: GPL-2.0

//! compiles: a device that is locked and bound is preserved, as all others here want to be.

use kernel::{
    pci,
    prelude::*, //
};

/// So it has to be done.
pub fn preserve(device: &pci::Device) -> Result<pci::liveupdate::Preservation> {
    let locked = device.try_lock().ok_or(EBUSY)?;

    locked.bound().ok_or(ENODEV)?.liveupdate_preserve()
}

module! {
    type: Refused,
    name: "locked_device",
    authors: ["PCI Live Update"],
    description: "Safe code that must not compile",
    license: "GPL",
}

struct Refused;

impl kernel::Module for Refused {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        Ok(Self)
    }
}
