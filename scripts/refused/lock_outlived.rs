// SPDX-License-Identifier: GPL-2.0

//! E0515: a device is used as if it was bound, when it is not locked any more.

use kernel::{
    device::Bound,
    pci,
    prelude::*, //
};

/// What it gives would outlive the lock.
pub fn bound(device: &pci::Device) -> Option<&pci::Device<Bound>> {
    let locked = device.try_lock()?;

    locked.bound()
}

module! {
    type: Refused,
    name: "lock_outlived",
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
