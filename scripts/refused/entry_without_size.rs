// SPDX-License-Identifier: GPL-2.0

//! E0080: there is no limit to how many entries without a size fit into a block.

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

/// How many of them fit into a block?
pub fn divide_by_zero(memory: Pin<&mut Memory<Ours>>) -> Result {
    memory.reserve(1)
}

module! {
    type: Refused,
    name: "entry_without_size",
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
