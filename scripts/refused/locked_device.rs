// SPDX-License-Identifier: GPL-2.0

//! compiles: a device that is locked and bound is preserved, as all others here want to be.

use kernel::{
    pci,
    prelude::*, //
};

/// So it has to be done.
pub fn preserve(device: &pci::Device) -> Result<pci::liveupdate::Preservation> {
    device.try_lock().ok_or(EBUSY)?.liveupdate_preserve()
}

module! {
    type: Refused,
    name: "locked_device",
    authors: ["PCI Live Update"],
    description: "Safe code that has to compile",
    license: "GPL",
}

struct Refused;

impl kernel::Module for Refused {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        Ok(Self)
    }
}
