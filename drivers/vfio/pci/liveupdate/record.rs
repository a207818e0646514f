// SPDX-License-Identifier: GPL-2.0

//! The format in which one kernel's vfio-pci tells the next one's about a file.
//!
//! C header: [`include/linux/kho/abi/vfio_pci.h`](srctree/include/linux/kho/abi/vfio_pci.h), which
//! describes the format; the compiler checks that what is here is the same.

use crate::device;
use core::mem::offset_of;
use kernel::{
    bindings,
    kho::{
        Handle,
        Preservable, //
    },
    pci,
    prelude::*, //
};

/// The name by which LUO finds the handler.
pub(crate) const COMPATIBLE: &CStr =
    match CStr::from_bytes_with_nul(bindings::VFIO_PCI_LUO_COMPATIBLE) {
        Ok(name) => name,
        Err(_) => panic!("the name must be a C string"),
    };

const VERSION: u32 = bindings::VFIO_PCI_SER_VERSION;
const RUNNING: u32 = bindings::VFIO_PCI_SER_RUNNING;

/// What is in registers that a user may change.
pub(crate) type Registers = [u32; bindings::VFIO_PCI_SER_NR_REGISTERS as usize];

static_assert!(
    bindings::VFIO_PCI_SER_NR_REGISTERS == bindings::PCI_LIVEUPDATE_NR_REGISTERS,
    "the format says what is in the registers that the PCI core saves"
);

/// A file that is preserved; `struct vfio_pci_ser`.
#[derive(Clone, Copy)]
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

// SAFETY: Three integers of 4 bytes, four of 2, and more of 4, in this order, have no padding, and
// any bytes are valid. Dropping them has no effect, and they have no interior mutability.
unsafe impl Preservable for Record {}

impl Record {
    pub(crate) fn of(pdev: &pci::Device) -> Self {
        let (domain, bdf) = device::address(pdev);

        Self {
            version: VERSION,
            flags: 0,
            domain,
            bdf,
            vendor: pdev.vendor_id().as_raw(),
            device: pdev.device_id(),
            reserved: 0,
            registers: [0; _],
        }
    }

    /// Notes whether the device isn't stopped, and what was in its registers before its first user
    /// had it.
    pub(crate) fn set_wish(&mut self, running: bool, registers: Registers) {
        self.flags = if running { RUNNING } else { 0 };
        self.registers = registers;
    }

    pub(crate) fn registers(&self) -> &Registers {
        &self.registers
    }

    pub(crate) fn is_running(&self) -> bool {
        self.flags & RUNNING != 0
    }

    /// The record of a file that was handed over.
    ///
    /// # Errors
    ///
    /// `ENOENT` when nothing was preserved there, `EINVAL` when this kernel doesn't know what all
    /// of it means.
    pub(crate) fn read(handle: Handle) -> Result<Self> {
        let record: Self = handle.peek()?;

        if record.is_readable() {
            Ok(record)
        } else {
            Err(EINVAL)
        }
    }

    fn is_readable(&self) -> bool {
        self.version == VERSION && self.flags & !RUNNING == 0 && self.reserved == 0
    }

    /// Where the device is: PCI segment, and bus, device and function number.
    pub(crate) fn address(&self) -> (u32, u16) {
        (self.domain, self.bdf)
    }

    /// Whether `pdev`, which is where the device was, is the same kind of device.
    pub(crate) fn is_of(&self, pdev: &pci::Device) -> bool {
        self.vendor == pdev.vendor_id().as_raw() && self.device == pdev.device_id()
    }
}
