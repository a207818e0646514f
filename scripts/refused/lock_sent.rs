// SPDX-License-Identifier: GPL-2.0

//! E0277: a device is unlocked by another thread than the one that locked it.

use kernel::{
    pci,
    prelude::*, //
};

fn send<T: Send>(_: T) {}

/// The lock is a mutex.
pub fn unlock_elsewhere(device: &pci::Device) {
    if let Some(locked) = device.try_lock() {
        send(locked);
    }
}

module! {
    type: Refused,
    name: "lock_sent",
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
