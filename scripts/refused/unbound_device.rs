// SPDX-License-Identifier: GPL-2.0

//! E0599: a device whose host bridge may be gone is preserved.

use kernel::{
    pci,
    prelude::*,
    sync::aref::ARef, //
};

/// Nobody knows whether the device is bound.
pub fn preserve(stale: ARef<pci::Device>) {
    let _ = stale.liveupdate_preserve();
}

module! {
    type: Refused,
    name: "unbound_device",
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
