// SPDX-License-Identifier: GPL-2.0

//! Where PCI devices are.
//!
//! C header: [`include/linux/pci.h`](srctree/include/linux/pci.h)

use super::Device;
#[cfg(CONFIG_PCI_LIVEUPDATE)]
use crate::sync::aref::ARef;
use crate::{
    bindings,
    fmt,
    prelude::*, //
};

/// Where a device is: its domain, and its bus, device and function in there.
///
/// # Examples
///
/// ```
/// use kernel::{pci::Address, prelude::*, str::CString};
///
/// let address = Address {
///     domain: 0x10000,
///     bdf: 0x0afb,
/// };
///
/// assert_eq!((address.bus(), address.devfn()), (0x0a, 0xfb));
/// assert_eq!(CString::try_from_fmt(fmt!("{address}"))?.to_bytes(), b"10000:0a:1f.3");
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// The PCI domain, or segment.
    pub domain: u32,
    /// Bus, device and function number, as `pci_dev_id()` puts them together.
    pub bdf: u16,
}

impl Address {
    /// The bus in the domain.
    #[inline]
    pub const fn bus(self) -> u8 {
        (self.bdf >> 8) as u8
    }

    /// Device and function on the bus.
    #[inline]
    pub const fn devfn(self) -> u8 {
        self.bdf as u8
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (slot, function) = (self.devfn() >> 3, self.devfn() & 7);

        f.write_fmt(fmt!(
            "{:04x}:{:02x}:{slot:02x}.{function}",
            self.domain,
            self.bus()
        ))
    }
}

impl Device {
    /// A device that C knows.
    ///
    /// # Safety
    ///
    /// `pdev` must point to a device that is valid for `'a`.
    #[inline]
    pub unsafe fn from_raw<'a>(pdev: *mut bindings::pci_dev) -> &'a Self {
        // SAFETY: The caller guarantees that the device is valid for `'a`; `Device` is a
        // transparent wrapper of it.
        unsafe { &*pdev.cast() }
    }
}

#[cfg(CONFIG_PCI_LIVEUPDATE)]
impl Device {
    /// The device at an address.
    ///
    /// Context: May sleep.
    pub fn find(address: Address) -> Option<ARef<Self>> {
        // CAST: What is no domain number is that of no device.
        //
        // SAFETY: The function accepts any address.
        let pdev =
            unsafe { bindings::pci_liveupdate_get_device(address.domain as c_int, address.bdf) };

        // SAFETY: The function gave us a reference to the device.
        core::ptr::NonNull::new(pdev).map(|pdev| unsafe { ARef::from_raw(pdev.cast()) })
    }
}

impl Device {
    /// Where the device is, or was before it was removed.
    ///
    /// Context: Any context.
    #[cfg(CONFIG_PCI_LIVEUPDATE)]
    #[inline]
    pub fn address(&self) -> Address {
        // SAFETY: By its type invariant `self` is a valid device. The field is set before anybody
        // can see it, and never changes.
        let domain = unsafe { (*self.as_raw()).liveupdate_domain };

        Address {
            // CAST: Domain numbers are not negative.
            domain: domain as u32,
            bdf: self.dev_id(),
        }
    }

    /// The bridge above the device, if it is not on a root bus.
    ///
    /// Of a device that was removed it is the one below which it was. A virtual function has none
    /// of its own.
    ///
    /// Context: Any context.
    pub fn upstream_bridge(&self) -> Option<&Device> {
        // SAFETY: By its type invariant `self` is a valid device. The field is set when it is
        // created.
        if unsafe { bindings::pci_dev::is_virtfn_raw(self.as_raw()) } != 0 {
            return None;
        }

        // SAFETY: By its type invariant `self` is a valid device, and no virtual function, so that
        // its own bus is asked, to which it has a reference.
        let bridge = unsafe { bindings::pci_upstream_bridge(self.as_raw()) };

        // SAFETY: The bus has a reference to its bridge, if it has one, which is valid for as long
        // as `self` is for that reason.
        (!bridge.is_null()).then(|| unsafe { Device::from_raw(bridge) })
    }
}
