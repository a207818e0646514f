// SPDX-License-Identifier: GPL-2.0

//! E0080: a record has no size.

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
    type Record = ();
    type Entry = ();
}

/// Memory for nothing.
pub fn allocate() -> Result<Pin<KBox<Memory<Ours>>>> {
    KBox::pin_init(Memory::new(()), GFP_KERNEL)
}

module! {
    type: Refused,
    name: "record_without_size",
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
