// SPDX-License-Identifier: GPL-2.0

//! E0624: the device of another driver is used as if it was bound to this one.

use kernel::{
    pci,
    prelude::*, //
};

/// What is put into it is called when the device is unbound, be this module there or not.
pub fn bound(device: &pci::Device) -> bool {
    device
        .try_lock()
        .is_some_and(|locked| locked.bound().is_some())
}

module! {
    type: Refused,
    name: "foreign_device",
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
