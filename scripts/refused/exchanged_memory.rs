// SPDX-License-Identifier: GPL-2.0

//! E0596: memory is exchanged whose address was handed over already.

use kernel::{
    kho::{
        Format,
        Memory, //
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

/// The other one may be dropped, and with it the memory that the next kernel gets the address of.
pub fn exchange(mut one: Pin<&mut Memory<Ours>>, mut other: Pin<&mut Memory<Ours>>) {
    core::mem::swap(&mut *one, &mut *other);
}

module! {
    type: Refused,
    name: "exchanged_memory",
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
