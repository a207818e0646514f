// SPDX-License-Identifier: GPL-2.0

//! A PCI device, and what `struct pci_dev` has about live update.

use core::ops::Deref;
use kernel::{
    bindings,
    device,
    pci::{
        self,
        Address, //
    },
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        }, //
    }, //
};

/// A reference to a PCI device.
#[derive(Clone, Copy)]
pub(crate) struct Device<'a>(&'a pci::Device);

impl Deref for Device<'_> {
    type Target = pci::Device;

    fn deref(&self) -> &pci::Device {
        self.0
    }
}

/// How large a field is.
const fn size_of_field<T, F>(_: fn(&T) -> &F) -> usize {
    size_of::<F>()
}

/// Fields of `struct pci_dev`, and what they are called here.
macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident: $field:ident, $type:ty;)*) => {
        impl Device<'_> {
            $($(#[$doc])*
            pub(crate) fn $name(&self) -> &Atomic<$type> {
                const {
                    let size = size_of_field::<bindings::pci_dev, _>(|dev| &dev.$field);

                    assert!(size == size_of::<$type>());
                }
                // SAFETY: The device is valid. The field is of this size, nothing is written to it
                // but like this, or before the device can be seen, and C reads it as a whole.
                unsafe { Atomic::from_ptr((&raw mut (*self.as_raw()).$field).cast()) }
            })*
        }
    };
}

fields! {
    /// Where it is among outgoing devices, from 1 on, or 0. Written with these locked.
    outgoing: liveupdate_outgoing, i32;
    /// What the previous kernel set up in it stays, as it was incoming when it was set up, or is a
    /// bridge of which that isn't known.
    inherits: liveupdate_inherits, bool;
    /// It was incoming before, and removed.
    found_again: liveupdate_found_again, bool;
    /// It keeps the ACS controls in the next one.
    keeps_acs: liveupdate_keeps_acs, bool;
    acs_controls: liveupdate_acs_ctrl, i16;
    /// It was stopped since it came over.
    stopped: liveupdate_stopped, bool;
    /// It was stopped before it could be reset.
    reset_due: liveupdate_reset_due, bool;
    /// It is kept from sleeping.
    kept_awake: liveupdate_awake, bool;
    /// A device below this bridge does DMA while the kernel is replaced.
    needed: liveupdate_needed, bool;
    /// It was not bound to a driver, which was said.
    refused: liveupdate_refused, bool;
}

impl<'a> Device<'a> {
    pub(crate) fn new(dev: &'a pci::Device) -> Self {
        Self(dev)
    }

    /// # Safety
    ///
    /// `dev` must point to a device that is valid for `'a`.
    pub(crate) unsafe fn from_raw(dev: *mut bindings::pci_dev) -> Self {
        // SAFETY: The caller guarantees that the device is valid for `'a`.
        Self(unsafe { pci::Device::from_raw(dev) })
    }

    /// The generic device, for messages.
    pub(crate) fn as_dev(self) -> &'a device::Device {
        self.0.as_ref()
    }

    /// The generic device that it is, for C.
    pub(crate) fn as_generic(self) -> *mut bindings::device {
        // SAFETY: The device is valid. This only computes an address.
        unsafe { &raw mut (*self.as_raw()).dev }
    }

    /// A reference of its own to the device.
    pub(crate) fn get(self) -> ARef<pci::Device> {
        self.0.into()
    }

    /// Where the device is in an index.
    pub(crate) fn key(self) -> usize {
        key(self.address())
    }

    /// Whether this is the same device as `other`, and not one in the same place.
    pub(crate) fn is(self, other: &pci::Device) -> bool {
        core::ptr::eq(self.0, other)
    }

    pub(crate) fn is_virtual_function(self) -> bool {
        // SAFETY: The device is valid; the field is set when it is created.
        unsafe { bindings::pci_dev::is_virtfn_raw(self.as_raw()) != 0 }
    }

    /// Whether it was removed from its bus, or is just being removed.
    pub(crate) fn is_removed(self) -> bool {
        // SAFETY: The device is valid.
        unsafe { bindings::pci_liveupdate_is_removed(self.as_raw()) }
    }

    /// Whether a driver is bound to it. It may lose the driver at any moment.
    pub(crate) fn has_driver(self) -> bool {
        // SAFETY: The device is valid. The field may be written to meanwhile, but not in parts, and
        // only whether it is null is looked at.
        !unsafe { (&raw const (*self.as_raw()).driver).read_volatile() }.is_null()
    }

    /// How far the device's user has come, as its driver says.
    pub(crate) fn user(self) -> u8 {
        // SAFETY: The device is valid. The field is only read like this, and written as a whole.
        unsafe { (&raw const (*self.as_raw()).liveupdate_user).read_volatile() }
    }

    /// Reads from its configuration space.
    pub(crate) fn read_word(self, offset: c_int) -> Result<u16> {
        let mut word = 0;

        // SAFETY: The device is valid, and `word` can be written to.
        match unsafe { bindings::pci_read_config_word(self.as_raw(), offset, &mut word) } {
            0 => Ok(word),
            _ => Err(EIO),
        }
    }

    /// Whether this is a bridge to another PCI bus.
    pub(crate) fn is_bridge(self) -> bool {
        // SAFETY: The device is valid. The field is set before anybody can see it.
        let header = unsafe { (*self.as_raw()).hdr_type };

        u32::from(header) == bindings::PCI_HEADER_TYPE_BRIDGE
    }

    /// The bridges above the device, from the closest one up to the root.
    pub(crate) fn upstream_bridges(self) -> impl Iterator<Item = Device<'a>> {
        self.path().skip(1)
    }

    /// The device itself, and the bridges above it.
    ///
    /// Also of a device that was removed: the way up is that on which it was.
    pub(crate) fn path(self) -> impl Iterator<Item = Device<'a>> {
        core::iter::successors(Some(self), |device| device.0.upstream_bridge().map(Device))
    }

    /// The ACS controls that the device keeps, if any.
    pub(crate) fn kept_acs(self) -> Option<u16> {
        self.keeps_acs()
            .load(Relaxed)
            .then(|| self.acs_controls().load(Relaxed) as u16)
    }

    pub(crate) fn is_outgoing(self) -> bool {
        self.outgoing().load(Relaxed) != 0
    }

    /// Whether it was stopped since it came over.
    pub(crate) fn is_stopped(self) -> bool {
        self.stopped().load(Relaxed)
    }

    /// Lets the device sleep, as it is not incoming any more.
    pub(crate) fn let_sleep(self) {
        if self.kept_awake().xchg(false, Relaxed) {
            // SAFETY: The device is valid, and was counted when the flag was set.
            unsafe { bindings::pm_runtime_put(self.as_generic()) };
        }
    }
}

/// Where the device at an address is in an index.
#[inline]
pub(crate) fn key(address: Address) -> usize {
    (address.domain as usize) << u16::BITS | usize::from(address.bdf)
}

/// What is at this place in an index.
pub(crate) fn address(key: usize) -> Address {
    Address {
        domain: (key >> u16::BITS) as u32,
        bdf: key as u16,
    }
}
