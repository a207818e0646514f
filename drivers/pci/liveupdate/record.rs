// SPDX-License-Identifier: GPL-2.0

//! The format in which one kernel tells the next about its PCI devices.
//!
//! C header: [`include/linux/kho/abi/pci.h`](srctree/include/linux/kho/abi/pci.h), which describes
//! the format; the compiler checks that what is here is the same.

use core::mem::offset_of;
use kernel::{
    bindings,
    ffi::c_int,
    fmt,
    kho::{
        Handle,
        Preservable, //
    },
    prelude::*,
    sync::atomic::{
        Atomic,
        AtomicType,
        Relaxed, //
    }, //
};

/// The name by which LUO finds the data.
pub(crate) const COMPATIBLE: &CStr =
    match CStr::from_bytes_with_nul(bindings::PCI_LUO_FLB_COMPATIBLE) {
        Ok(name) => name,
        Err(_) => panic!("the name must be a C string"),
    };

/// The version of the format.
pub(crate) const VERSION: u32 = bindings::PCI_SER_VERSION;

/// Where a device is: its address on the bus, and the key by which its record is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) domain: u32,
    pub(crate) bdf: u16,
}

impl Address {
    /// The index in an XArray.
    #[inline]
    pub(crate) fn key(self) -> usize {
        (self.domain as usize) << u16::BITS | usize::from(self.bdf)
    }

    pub(crate) fn bus(self) -> u8 {
        (self.bdf >> 8) as u8
    }

    pub(crate) fn devfn(self) -> u8 {
        self.bdf as u8
    }

    /// Whether a device that is here would have been found.
    pub(crate) fn is_scanned(self) -> bool {
        // CAST: What is no domain number, as damaged records have, is that of no host bridge.
        //
        // SAFETY: The function accepts any address.
        unsafe { bindings::pci_liveupdate_is_scanned(self.domain as c_int, self.bus()) }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (slot, function) = (self.devfn() >> 3, self.devfn() & 7);

        write!(
            f,
            "{:04x}:{:02x}:{slot:02x}.{function}",
            self.domain,
            self.bus()
        )
    }
}

/// A device that is preserved, or was; `struct pci_dev_ser`.
///
/// The fields are not read or written together. Whoever changes them holds the lock of the outgoing
/// or of the incoming records; of the latter only the reference count changes.
#[repr(C)]
pub(crate) struct Record {
    domain: Atomic<u32>,
    // Both are unsigned: the kernel's atomics have `i16` only.
    bdf: Atomic<i16>,
    refcount: Atomic<i16>,
}

static_assert!(size_of::<Record>() == size_of::<bindings::pci_dev_ser>());
static_assert!(offset_of!(Record, domain) == offset_of!(bindings::pci_dev_ser, domain));
static_assert!(offset_of!(Record, bdf) == offset_of!(bindings::pci_dev_ser, bdf));
static_assert!(offset_of!(Record, refcount) == offset_of!(bindings::pci_dev_ser, refcount));

// SAFETY: Integers of 4, 2 and 2 bytes, in this order, have no padding, and any bytes are valid.
// They are atomic, and dropping them has no effect.
unsafe impl Preservable for Record {}

/// Reads a field that may change meanwhile.
///
/// The same as a relaxed load, which is a call of a C function, though. There are so many records
/// to be read when a kernel starts that this would be felt.
#[inline]
fn read<T: AtomicType>(field: &Atomic<T>) -> T {
    // SAFETY: The pointer is to the field, which is only written to as a whole. That a volatile
    // read of an aligned integer is a single one is what `READ_ONCE()` relies on, too.
    unsafe { field.as_ptr().read_volatile() }
}

impl Record {
    #[inline]
    pub(crate) fn address(&self) -> Address {
        Address {
            domain: read(&self.domain),
            bdf: read(&self.bdf) as u16,
        }
    }

    /// 0 for a free slot and for a device that was finished.
    #[inline]
    pub(crate) fn refcount(&self) -> u16 {
        read(&self.refcount) as u16
    }

    #[inline]
    pub(crate) fn set_refcount(&self, refcount: u16) {
        self.refcount.store(refcount as i16, Relaxed);
    }

    /// Counts one more device at or below a bridge.
    ///
    /// With the records locked.
    pub(crate) fn count_up(&self) -> Result {
        let refcount = self.refcount().checked_add(1).ok_or(EOVERFLOW)?;

        self.set_refcount(refcount);
        Ok(())
    }

    /// Counts one device less at or below a bridge, unless there is none left.
    ///
    /// Returns how many there are left, or `None` if there was none. With the records locked.
    pub(crate) fn count_down(&self) -> Option<u16> {
        let refcount = self.refcount().checked_sub(1)?;

        self.set_refcount(refcount);
        Some(refcount)
    }

    /// Makes a free slot the record of a device.
    pub(crate) fn fill(&self, address: Address, refcount: u16) {
        self.domain.store(address.domain, Relaxed);
        self.bdf.store(address.bdf as i16, Relaxed);
        self.set_refcount(refcount);
    }

    /// Whether it is as a free slot has to be.
    #[cfg(CONFIG_PCI_LIVEUPDATE_CHECK)]
    pub(crate) fn is_clear(&self) -> bool {
        self.address() == Address { domain: 0, bdf: 0 } && self.refcount() == 0
    }

    /// Makes the record a free slot.
    pub(crate) fn clear(&self) {
        self.fill(Address { domain: 0, bdf: 0 }, 0);
    }
}

/// What leads to the records; `struct pci_ser`.
#[repr(C)]
pub(crate) struct Header {
    pub(crate) version: u32,
    pub(crate) nr_devices: u32,
    devices: u64,
}

static_assert!(size_of::<Header>() == size_of::<bindings::pci_ser>());
static_assert!(offset_of!(Header, version) == offset_of!(bindings::pci_ser, version));
static_assert!(offset_of!(Header, nr_devices) == offset_of!(bindings::pci_ser, nr_devices));
static_assert!(offset_of!(Header, devices) == offset_of!(bindings::pci_ser, devices));

// SAFETY: Integers of 4, 4 and 8 bytes, in this order, have no padding, and any bytes are valid.
// Dropping them has no effect.
unsafe impl Preservable for Header {}

impl Header {
    /// The header of no records.
    pub(crate) fn new() -> Self {
        Self {
            version: VERSION,
            nr_devices: 0,
            devices: Handle::NONE.into_raw(),
        }
    }

    /// Where the first block of records is.
    pub(crate) fn devices(&self) -> Handle {
        // SAFETY: It is memory of this kernel, or was left by the previous one for who has the
        // header.
        unsafe { Handle::from_raw(self.devices) }
    }

    pub(crate) fn set_devices(&mut self, handle: Handle) {
        self.devices = handle.into_raw();
    }
}
