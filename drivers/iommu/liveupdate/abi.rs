// SPDX-License-Identifier: GPL-2.0

//! The format in which one kernel tells the next whose translation goes on.
//!
//! C header: [`include/linux/kho/abi/iommu.h`](srctree/include/linux/kho/abi/iommu.h), which
//! describes the format; the compiler checks that what is here is the same.

use core::mem::offset_of;
use kernel::{
    bindings,
    fmt,
    kho::{
        Format,
        Link, //
    },
    pci::Address,
    prelude::*, //
};

/// The version of the format.
pub(crate) const VERSION: u32 = bindings::IOMMU_SER_VERSION;

/// A device whose translation goes on; `struct iommu_device_ser`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, zerocopy_derive::Immutable)]
#[repr(C)]
pub(crate) struct Record {
    pub(crate) unit: u64,
    pub(crate) top: u64,
    pub(crate) segment: u32,
    pub(crate) requester: u16,
    pub(crate) domain_id: u16,
    pub(crate) format: u8,
    pub(crate) levels: u8,
    pub(crate) scalable: u8,
    pub(crate) reserved: [u8; 5],
}

static_assert!(size_of::<Record>() == size_of::<bindings::iommu_device_ser>());
static_assert!(offset_of!(Record, unit) == offset_of!(bindings::iommu_device_ser, unit));
static_assert!(offset_of!(Record, top) == offset_of!(bindings::iommu_device_ser, top));
static_assert!(offset_of!(Record, segment) == offset_of!(bindings::iommu_device_ser, segment));
static_assert!(offset_of!(Record, requester) == offset_of!(bindings::iommu_device_ser, requester));
static_assert!(offset_of!(Record, domain_id) == offset_of!(bindings::iommu_device_ser, domain_id));
static_assert!(offset_of!(Record, format) == offset_of!(bindings::iommu_device_ser, format));
static_assert!(offset_of!(Record, levels) == offset_of!(bindings::iommu_device_ser, levels));
static_assert!(offset_of!(Record, scalable) == offset_of!(bindings::iommu_device_ser, scalable));

impl Record {
    /// What C says of a device.
    pub(crate) fn new(device: &bindings::iommu_device_ser) -> Self {
        Self {
            unit: device.unit,
            top: device.top,
            segment: device.segment,
            requester: device.requester,
            domain_id: device.domain_id,
            format: device.format,
            levels: device.levels,
            scalable: device.scalable,
            reserved: [0; 5],
        }
    }

    /// Where the device is, whose requester ID is its own.
    pub(crate) fn address(&self) -> Address {
        Address {
            domain: self.segment,
            bdf: self.requester,
        }
    }

    /// The same for C.
    pub(crate) fn in_c(&self) -> bindings::iommu_device_ser {
        bindings::iommu_device_ser {
            unit: self.unit,
            top: self.top,
            segment: self.segment,
            requester: self.requester,
            domain_id: self.domain_id,
            format: self.format,
            levels: self.levels,
            scalable: self.scalable,
            reserved: [0; 5],
        }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_fmt(fmt!("{} of the IOMMU at {:#x}", self.address(), self.unit))
    }
}

/// What leads to the records; `struct iommu_ser`.
#[derive(FromBytes, IntoBytes, zerocopy_derive::Immutable)]
#[repr(C)]
pub(crate) struct Header {
    pub(crate) version: u32,
    pub(crate) nr_devices: u32,
    devices: Link<Record>,
}

static_assert!(size_of::<Header>() == size_of::<bindings::iommu_ser>());
static_assert!(offset_of!(Header, version) == offset_of!(bindings::iommu_ser, version));
static_assert!(offset_of!(Header, nr_devices) == offset_of!(bindings::iommu_ser, nr_devices));
static_assert!(offset_of!(Header, devices) == offset_of!(bindings::iommu_ser, devices));

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

// SAFETY: The header in C gives this name to a `struct iommu_ser` that leads to `struct
// iommu_device_ser`, and to nothing else. Another version may lead elsewhere: `incoming`, which is
// the only one to follow a link of this format, looks at the version before.
unsafe impl Format for Devices {
    const NAME: &'static CStr = match CStr::from_bytes_with_nul(bindings::IOMMU_LUO_FLB_COMPATIBLE)
    {
        Ok(name) => name,
        Err(_) => panic!("the name must be a C string"),
    };

    type Record = Header;
    type Entry = Record;

    fn link(header: &mut Header) -> Option<&mut Link<Record>> {
        Some(&mut header.devices)
    }
}
