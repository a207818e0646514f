// SPDX-License-Identifier: GPL-2.0

//! The format in which one kernel tells the next about its PCI devices.
//!
//! C header: [`include/linux/kho/abi/pci.h`](srctree/include/linux/kho/abi/pci.h), which describes
//! the format; the compiler checks that what is here is the same.

use core::mem::offset_of;
use kernel::{
    bindings,
    kho::{
        Format,
        Link, //
    },
    pci::Address,
    prelude::*, //
};

/// The version of the format.
pub(crate) const VERSION: u32 = bindings::PCI_SER_VERSION;

/// A device that is preserved, or was; `struct pci_dev_ser`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, zerocopy_derive::Immutable)]
#[repr(C)]
pub(crate) struct Record {
    domain: u32,
    bdf: u16,
    /// 0 for a free slot.
    pub(crate) refcount: u16,
}

static_assert!(size_of::<Record>() == size_of::<bindings::pci_dev_ser>());
static_assert!(offset_of!(Record, domain) == offset_of!(bindings::pci_dev_ser, domain));
static_assert!(offset_of!(Record, bdf) == offset_of!(bindings::pci_dev_ser, bdf));
static_assert!(offset_of!(Record, refcount) == offset_of!(bindings::pci_dev_ser, refcount));

impl Record {
    pub(crate) fn new(Address { domain, bdf }: Address, refcount: u16) -> Self {
        Self {
            domain,
            bdf,
            refcount,
        }
    }

    pub(crate) fn address(&self) -> Address {
        Address {
            domain: self.domain,
            bdf: self.bdf,
        }
    }
}

/// What leads to the records; `struct pci_ser`.
#[derive(FromBytes, IntoBytes, zerocopy_derive::Immutable)]
#[repr(C)]
pub(crate) struct Header {
    pub(crate) version: u32,
    pub(crate) nr_devices: u32,
    devices: Link<Record>,
}

static_assert!(size_of::<Header>() == size_of::<bindings::pci_ser>());
static_assert!(offset_of!(Header, version) == offset_of!(bindings::pci_ser, version));
static_assert!(offset_of!(Header, nr_devices) == offset_of!(bindings::pci_ser, nr_devices));
static_assert!(offset_of!(Header, devices) == offset_of!(bindings::pci_ser, devices));

impl Header {
    /// The header of no records.
    pub(crate) fn new() -> Self {
        Self {
            version: VERSION,
            nr_devices: 0,
            devices: Link::NONE,
        }
    }
}

/// The name and the parts of it.
pub(crate) struct Devices;

// SAFETY: The header in C gives this name to a `struct pci_ser` that leads to `struct pci_dev_ser`,
// and to nothing else. Another version may lead elsewhere: `validate()`, which is the only one to
// follow a link of this format, looks at the version before.
unsafe impl Format for Devices {
    const NAME: &'static CStr = match CStr::from_bytes_with_nul(bindings::PCI_LUO_FLB_COMPATIBLE) {
        Ok(name) => name,
        Err(_) => panic!("the name must be a C string"),
    };

    type Record = Header;
    type Entry = Record;

    fn link(header: &mut Header) -> Option<&mut Link<Record>> {
        Some(&mut header.devices)
    }
}
