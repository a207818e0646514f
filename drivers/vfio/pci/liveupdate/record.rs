// SPDX-License-Identifier: GPL-2.0

//! The format in which one kernel's vfio-pci tells the next one's about a file.
//!
//! C header: [`include/linux/kho/abi/vfio_pci.h`](srctree/include/linux/kho/abi/vfio_pci.h), which
//! describes the format; the compiler checks that what is here is the same.

use core::mem::offset_of;
use kernel::{
    bindings,
    kho::Format,
    pci::{
        self,
        Address, //
    },
    prelude::*, //
};

const VERSION: u32 = bindings::VFIO_PCI_SER_VERSION;
const RUNNING: u32 = bindings::VFIO_PCI_SER_RUNNING;

/// The flags of which this kernel knows what they mean.
const FLAGS: u32 = if cfg!(CONFIG_IOMMU_LIVEUPDATE) {
    RUNNING | bindings::VFIO_PCI_SER_TRANSLATED
} else {
    RUNNING
};

/// What is in registers that a user may change.
pub(crate) type Registers = [u32; bindings::VFIO_PCI_SER_NR_REGISTERS as usize];

static_assert!(
    bindings::VFIO_PCI_SER_NR_REGISTERS == bindings::PCI_LIVEUPDATE_NR_REGISTERS,
    "the format says what is in the registers that the PCI core saves"
);

/// A file that is preserved; `struct vfio_pci_ser`.
#[derive(Clone, Copy, FromBytes, IntoBytes, zerocopy_derive::Immutable)]
#[repr(C)]
pub(crate) struct Record {
    version: u32,
    flags: u32,
    domain: u32,
    bdf: u16,
    vendor: u16,
    device: u16,
    reserved: u16,
    registers: Registers,
}

static_assert!(size_of::<Record>() == size_of::<bindings::vfio_pci_ser>());
static_assert!(offset_of!(Record, version) == offset_of!(bindings::vfio_pci_ser, version));
static_assert!(offset_of!(Record, flags) == offset_of!(bindings::vfio_pci_ser, flags));
static_assert!(offset_of!(Record, domain) == offset_of!(bindings::vfio_pci_ser, domain));
static_assert!(offset_of!(Record, bdf) == offset_of!(bindings::vfio_pci_ser, bdf));
static_assert!(offset_of!(Record, vendor) == offset_of!(bindings::vfio_pci_ser, vendor));
static_assert!(offset_of!(Record, device) == offset_of!(bindings::vfio_pci_ser, device));
static_assert!(offset_of!(Record, registers) == offset_of!(bindings::vfio_pci_ser, registers));

/// The name and the record.
pub(crate) struct Files;

// SAFETY: The header in C gives this name to a `struct vfio_pci_ser`, and to nothing else, whatever
// its version. It leads to no other memory.
unsafe impl Format for Files {
    const NAME: &'static CStr = match CStr::from_bytes_with_nul(bindings::VFIO_PCI_LUO_COMPATIBLE) {
        Ok(name) => name,
        Err(_) => panic!("the name must be a C string"),
    };

    type Record = Record;
    type Entry = ();
}

impl Record {
    /// The record of a device with what was in its registers before its first user had it.
    pub(crate) fn new(pdev: &pci::Device, flags: u32, registers: Registers) -> Self {
        let Address { domain, bdf } = pdev.address();

        Self {
            version: VERSION,
            flags,
            domain,
            bdf,
            vendor: pdev.vendor_id().as_raw(),
            device: pdev.device_id(),
            reserved: 0,
            registers,
        }
    }

    pub(crate) fn registers(&self) -> &Registers {
        &self.registers
    }

    pub(crate) fn is_running(&self) -> bool {
        self.flags & RUNNING != 0
    }

    pub(crate) fn flags(&self) -> u32 {
        self.flags
    }

    /// Whether this kernel knows what all of it means.
    pub(crate) fn is_readable(&self) -> bool {
        self.version == VERSION && self.flags & !FLAGS == 0 && self.reserved == 0
    }

    /// Where the device is.
    pub(crate) fn address(&self) -> Address {
        Address {
            domain: self.domain,
            bdf: self.bdf,
        }
    }

    /// Whether `pdev`, which is where the device was, is the same kind of device.
    pub(crate) fn is_of(&self, pdev: &pci::Device) -> bool {
        self.vendor == pdev.vendor_id().as_raw() && self.device == pdev.device_id()
    }
}
