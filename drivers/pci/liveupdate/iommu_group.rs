// SPDX-License-Identifier: GPL-2.0

//! IOMMU groups that stay.
//!
//! The next kernel must come to the same IOMMU groups: while a preserved device does DMA, its group
//! can't change. So it must be alone in its group, and nothing may be able to join: neither because
//! it uses the same requester ID, nor because the DMA of one could reach the other without passing
//! the IOMMU.

use crate::device::Device;
use core::ptr::NonNull;
use kernel::{
    bindings,
    device,
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*, //
};

/// What the IOMMU core asks of a bridge, or of a function of a device, to regard what is below it
/// as isolated.
const ISOLATION: u16 =
    (bindings::PCI_ACS_SV | bindings::PCI_ACS_RR | bindings::PCI_ACS_CR | bindings::PCI_ACS_UF)
        as u16;

/// A reference to an IOMMU group.
///
/// # Invariants
///
/// The pointer is valid, and the object owns a reference.
struct Group(NonNull<bindings::iommu_group>);

impl Group {
    /// The group that the device is in, if any.
    fn of(device: Device<'_>) -> Option<Self> {
        // SAFETY: The device is valid.
        let group = unsafe { bindings::iommu_group_get(&raw mut (*device.as_raw()).dev) };

        // INVARIANT: We were given a reference.
        NonNull::new(group).map(Self)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is ours to give back.
        unsafe { bindings::iommu_group_put(self.0.as_ptr()) };
    }
}

/// What the callbacks below look for.
struct Search<'a> {
    device: Device<'a>,
    found: bool,
}

/// # Safety
///
/// `dev` must be a valid device, and `search` point to a [`Search`] that nobody else uses.
unsafe extern "C" fn is_other_member(dev: *mut bindings::device, search: *mut c_void) -> c_int {
    // SAFETY: By the safety requirements.
    let search = unsafe { &mut *search.cast::<Search<'_>>() };

    // SAFETY: The device is valid; this only computes an address.
    if dev != unsafe { &raw mut (*search.device.as_raw()).dev } {
        // SAFETY: By the safety requirements.
        let other: &device::Device = unsafe { device::Device::from_raw(dev) };

        dev_warn!(
            search.device.as_dev(),
            "liveupdate: cannot be preserved: {} is in the same IOMMU group\n",
            other.name()
        );
        search.found = true;
    }
    0
}

/// # Safety
///
/// `dev` must be a valid device, and `search` point to a [`Search`] that nobody else uses.
unsafe extern "C" fn is_alias(
    dev: *mut bindings::pci_dev,
    alias: u16,
    search: *mut c_void,
) -> c_int {
    // SAFETY: By the safety requirements.
    let search = unsafe { &mut *search.cast::<Search<'_>>() };
    let device = search.device;

    if dev != device.as_raw() {
        // SAFETY: By the safety requirements.
        let other = unsafe { Device::from_raw(dev) };

        dev_warn!(
            device.as_dev(),
            "liveupdate: cannot be preserved: it shares the requester ID of {}\n",
            other.address()
        );
    } else if alias != device.address().bdf {
        dev_warn!(
            device.as_dev(),
            "liveupdate: cannot be preserved: it also has the requester ID {alias:#06x}\n"
        );
    } else {
        return 0;
    }
    search.found = true;
    1
}

impl Device<'_> {
    /// Tells whether the device is alone in its IOMMU group, for good, if it has one. Logs why not.
    ///
    /// Context: May sleep. Takes the lock of the group.
    pub(crate) fn check_iommu_group(self) -> Result {
        let Some(group) = Group::of(self) else {
            return Ok(());
        };
        let mut search = Search {
            device: self,
            found: false,
        };
        let data = (&raw mut search).cast();

        // SAFETY: The group is valid, and `is_other_member()` is called with its devices and with
        // `data`, which is a `Search`.
        unsafe {
            bindings::iommu_group_for_each_dev(group.0.as_ptr(), data, Some(is_other_member));
        }
        if search.found {
            return Err(EINVAL);
        }

        let data = (&raw mut search).cast();

        // SAFETY: The device is valid, and `is_alias()` is called with devices that alias it and
        // with `data`, which is a `Search`.
        unsafe { bindings::pci_for_each_dma_alias(self.as_raw(), Some(is_alias), data) };
        if search.found {
            return Err(EINVAL);
        }

        // Other functions of a device may join unless each is isolated. A device with one function
        // needs no ACS of its own.
        //
        // SAFETY: The device is valid.
        let several = unsafe { (*self.as_raw()).multifunction() } != 0;
        let leak = self.path().skip(usize::from(!several)).find(|device| {
            // SAFETY: The device is valid.
            !unsafe { bindings::pci_acs_enabled(device.as_raw(), ISOLATION) }
        });

        if let Some(leak) = leak {
            dev_warn!(
                self.as_dev(),
                "liveupdate: cannot be preserved: the ACS controls of {} do not isolate it\n",
                leak.address()
            );
            return Err(EINVAL);
        }
        Ok(())
    }
}
