// SPDX-License-Identifier: GPL-2.0

//! E0277: bytes of the stack are handed over, as a record has padding.

use kernel::{
    kho::Format,
    prelude::*, //
};

/// Between its fields there are four bytes of anything.
#[derive(FromBytes, zerocopy_derive::Immutable)]
#[repr(C)]
pub struct Padded {
    first: u32,
    second: u64,
}

/// Its format.
pub struct Ours;

// SAFETY: Nothing else has this name.
unsafe impl Format for Ours {
    const NAME: &'static CStr = c"refused-v1";
    type Record = Padded;
    type Entry = ();
}

module! {
    type: Refused,
    name: "padded_record",
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
