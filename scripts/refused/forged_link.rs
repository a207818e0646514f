// SPDX-License-Identifier: GPL-2.0

//! E0423: a link is made of an address. (One that is made of bytes is overwritten.)

use core::marker::PhantomData;
use kernel::{
    kho::Link,
    prelude::*, //
};

/// Memory writes it, and nobody else.
pub fn forge(address: u64) -> Link<u64> {
    Link(address, PhantomData)
}

module! {
    type: Refused,
    name: "forged_link",
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
