// SPDX-License-Identifier: GPL-2.0

//! PCI devices that keep working while the kernel is replaced.
//!
//! A driver whose files stand for PCI devices, and survive a live update, tells the PCI core which
//! devices these are: [`Device::liveupdate_preserve`] when a file is preserved, and
//! [`Device::liveupdate_finish`] when the new kernel's driver has the device back. In between, the
//! new kernel's PCI core leaves alone what keeps the device working.
//!
//! Such a driver says so by [`pci::Driver::LIVEUPDATE`](super::Driver::LIVEUPDATE), or isn't bound
//! to a device that the previous kernel preserved. Bound to one, it leaves the device alone until
//! its user has it back.
//!
//! `Documentation/PCI/liveupdate.rst` explains the model and the life of a device.
//!
//! C header: [`include/linux/pci_liveupdate.h`](srctree/include/linux/pci_liveupdate.h)
//!
//! # Examples
//!
//! The handler of a driver's files, as far as the PCI core is concerned. `device_of()` stands for
//! how the driver finds the device of a file.
//!
//! ```
//! # #[cfg(CONFIG_PCI_LIVEUPDATE)]
//! # mod example {
//! use kernel::{
//!     fs::File,
//!     kho::Format,
//!     liveupdate::{FileHandler, Handler, Registration, Retrieval},
//!     pci::{self, liveupdate::Preservation, Address},
//!     prelude::*,
//!     sync::aref::ARef,
//! };
//!
//! /// What one kernel's driver tells the next one's about a file.
//! #[derive(FromBytes, IntoBytes, zerocopy_derive::Immutable)]
//! #[repr(C)]
//! struct Record {
//!     domain: u32,
//!     bdf: u16,
//!     reserved: u16,
//! }
//!
//! impl Record {
//!     fn device(&self) -> Option<ARef<pci::Device>> {
//!         pci::Device::find(Address {
//!             domain: self.domain,
//!             bdf: self.bdf,
//!         })
//!     }
//! }
//!
//! struct Files;
//!
//! // SAFETY: Nothing else has this name, and it changes with the record.
//! unsafe impl Format for Files {
//!     const NAME: &'static CStr = c"rust-doctest-pci-v1";
//!     type Record = Record;
//!     type Entry = ();
//! }
//!
//! #[vtable]
//! impl FileHandler for Files {
//!     type Format = Files;
//!     type State = Preservation;
//!
//!     fn can_preserve(file: &File) -> bool {
//!         device_of(file).is_some()
//!     }
//!
//!     fn preserve(file: &File) -> Result<(Record, Preservation)> {
//!         let device = device_of(file).ok_or(ENODEV)?;
//!         let Address { domain, bdf } = device.address();
//!         let record = Record {
//!             domain,
//!             bdf,
//!             reserved: 0,
//!         };
//!         // Who removes the device holds its lock, and may be waiting for LUO, which calls this.
//!         let locked = device.try_lock().ok_or(EBUSY)?;
//!
//!         Ok((record, locked.liveupdate_preserve()?))
//!     }
//!
//!     fn retrieve(record: Option<Record>) -> Result<ARef<File>> {
//!         let _device = record.ok_or(EINVAL)?.device().ok_or(ENODEV)?;
//!         // Make a file for the device here.
//! #       Err(ENODEV)
//!     }
//!
//!     fn finish(_file: Retrieval<'_>, record: Option<Record>) {
//!         if let Some(device) = record.and_then(|record| record.device()) {
//!             device.liveupdate_finish();
//!         }
//!     }
//! }
//!
//! static FILES: Handler<Files> = Handler::new();
//!
//! /// To be kept in the driver's module.
//! fn register() -> Result<Registration<Files>> {
//!     FILES.register(pci::liveupdate::register_flb)
//! }
//! # pub(super) fn run() { let _ = register(); }
//! # fn device_of(_: &File) -> Option<ARef<pci::Device>> { None }
//! # }
//! # #[cfg(CONFIG_PCI_LIVEUPDATE)]
//! # example::run();
//! # Ok::<(), Error>(())
//! ```

use super::Device;
use crate::{
    bindings,
    device::{
        self,
        Bound, //
    },
    error::to_result,
    prelude::*,
    sync::aref::ARef, //
};

#[cfg(CONFIG_LIVEUPDATE)]
use crate::liveupdate::{
    Binding,
    FileHandler, //
};

/// Binds the PCI core's data to the files of a handler, as long as that is registered.
///
/// PCI devices can be preserved while at least one of these files is.
///
/// Context: May sleep.
///
/// # Errors
///
/// `EEXIST` when this was done before, `ENOSPC` when there is no room for more such data,
/// `ENOMEM`, `EOPNOTSUPP` without `CONFIG_PCI_LIVEUPDATE`.
#[cfg(CONFIG_LIVEUPDATE)]
pub fn register_flb<H: FileHandler>(binding: &Binding<'_, H>) -> Result {
    // SAFETY: The handler is registered. The PCI core's data stays registered until the handler's
    // registration ends, which unregisters both.
    to_result(unsafe { bindings::pci_liveupdate_register_flb(binding.as_raw()) })
}

/// A device that is preserved for the next kernel, until this is dropped.
///
/// If it is dropped when the next kernel is on its way, which is then called off, the device stays
/// preserved until the last file of any session is unpreserved.
///
/// # Invariants
///
/// The device was preserved for this object, and is not unpreserved by anybody else.
pub struct Preservation(ARef<Device>);

impl Preservation {
    /// The device.
    #[inline]
    pub fn device(&self) -> &Device {
        &self.0
    }
}

impl Drop for Preservation {
    fn drop(&mut self) {
        // An error is logged. When the next kernel is on its way the device stays preserved.
        //
        // SAFETY: The device is valid, as we have a reference to it.
        let _ = unsafe { bindings::pci_liveupdate_unpreserve(self.0.as_raw()) };
    }
}

/// How far the user of an incoming device has come, for people to see.
///
/// C header: [`include/linux/pci_liveupdate.h`](srctree/include/linux/pci_liveupdate.h)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum User {
    /// Nobody has retrieved the file that stands for the device.
    Waiting = bindings::pci_liveupdate_user_PCI_LIVEUPDATE_WAITING,
    /// The file was retrieved, but the device is not in use yet.
    Retrieved = bindings::pci_liveupdate_user_PCI_LIVEUPDATE_RETRIEVED,
    /// The device is in use, but its session is not finished.
    TakenOver = bindings::pci_liveupdate_user_PCI_LIVEUPDATE_TAKEN_OVER,
    /// The device's user has gone, and it was stopped.
    Closed = bindings::pci_liveupdate_user_PCI_LIVEUPDATE_CLOSED,
}

impl Device<Bound> {
    /// Tells the next kernel that the device is kept alive, until the result is dropped.
    ///
    /// To be called when a file that stands for the device is [preserved], by the driver that the
    /// device is bound to. One that doesn't know whether it still is [locks](Device::try_lock) the
    /// device, and has [that](super::Locked::liveupdate_preserve) find out. The bridges above the
    /// device are preserved with it.
    ///
    /// Context: May sleep.
    ///
    /// # Errors
    ///
    /// - `EBUSY` when the device is preserved already, or the next kernel is on its way.
    /// - `EINVAL` when the device is of a kind that cannot be preserved, which is logged: a virtual
    ///   function, a bridge, a device that needs a device-specific ACS quirk, or one that is not
    ///   alone in its IOMMU group for good.
    /// - `ENODEV` when the device is just being removed.
    /// - `ENOENT` when no file is preserved that [`register_flb`] was called for.
    /// - `EOPNOTSUPP` when live update is off, or without `CONFIG_PCI_LIVEUPDATE`.
    /// - `ENOSPC`, `EOVERFLOW`, `ENOMEM`.
    ///
    /// [preserved]: crate::liveupdate::FileHandler::preserve
    pub fn liveupdate_preserve(&self) -> Result<Preservation> {
        // SAFETY: By its type invariant `self` is a valid device.
        to_result(unsafe { bindings::pci_liveupdate_preserve(self.as_raw()) })?;

        // INVARIANT: It was preserved just now.
        Ok(Preservation(self.into()))
    }
}

impl Device {
    /// Tells the PCI core that the driver has the device back.
    ///
    /// To be called when a file that stands for the device is [finished]. The kernel warns when
    /// the device is not [incoming](Device::liveupdate_is_incoming).
    ///
    /// Context: May sleep.
    ///
    /// [finished]: crate::liveupdate::FileHandler::finish
    pub fn liveupdate_finish(&self) {
        // SAFETY: By its type invariant `self` is a valid device.
        unsafe { bindings::pci_liveupdate_finish(self.as_raw()) };
    }
}

impl<Ctx: device::DeviceContext> Device<Ctx> {
    /// Whether the device is preserved for the next kernel.
    ///
    /// Context: Any context.
    #[inline]
    pub fn liveupdate_is_outgoing(&self) -> bool {
        // SAFETY: By its type invariant `self` is a valid device.
        unsafe { bindings::pci_liveupdate_outgoing(self.as_raw()) }
    }

    /// Whether the device was preserved by the previous kernel, and is not finished.
    ///
    /// Such a device may be doing DMA. A bridge is incoming while a device below it is.
    ///
    /// Context: Any context.
    #[inline]
    pub fn liveupdate_is_incoming(&self) -> bool {
        // SAFETY: By its type invariant `self` is a valid device.
        unsafe { bindings::pci_liveupdate_is_incoming(self.as_raw()) }
    }

    /// Whether the device was stopped, so that it is not as the previous kernel left it.
    ///
    /// Context: Any context.
    #[inline]
    pub fn liveupdate_is_stopped(&self) -> bool {
        // SAFETY: By its type invariant `self` is a valid device.
        unsafe { bindings::pci_liveupdate_is_stopped(self.as_raw()) }
    }

    /// Tells how far the user of an incoming device has come.
    ///
    /// Context: Any context.
    #[inline]
    pub fn liveupdate_set_user(&self, user: User) {
        // SAFETY: By its type invariant `self` is a valid device.
        unsafe { bindings::pci_liveupdate_set_user(self.as_raw(), user as u32) };
    }
}
