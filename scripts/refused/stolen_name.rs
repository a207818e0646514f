// SPDX-License-Identifier: GPL-2.0

//! E0200: what another one handed over is read by its name, without a promise.

use kernel::{
    kho::Format,
    prelude::*, //
};

/// A thief.
pub struct Thief;

impl Format for Thief {
    const NAME: &'static CStr = c"pci";
    type Record = u64;
    type Entry = ();
}

module! {
    type: Refused,
    name: "stolen_name",
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
