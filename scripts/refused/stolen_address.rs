// SPDX-License-Identifier: GPL-2.0

//! E0133: memory is taken over by its address.

use kernel::{
    kho::{
        Format,
        HandedOver, //
    },
    prelude::*, //
};

/// A format of our own.
pub struct Ours;

// SAFETY: Nothing else has this name.
unsafe impl Format for Ours {
    const NAME: &'static CStr = c"refused-v1";
    type Record = u64;
    type Entry = ();
}

/// Frees what is preserved there, whoever it belongs to.
pub fn steal(address: u64) {
    let _ = HandedOver::<Ours>::new(address).free();
}

module! {
    type: Refused,
    name: "stolen_address",
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
