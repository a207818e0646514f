// SPDX-License-Identifier: GPL-2.0

//! Devices that vfio-pci is bound to, as far as a live update is concerned.
//!
//! C header: [`vfio_pci_liveupdate.h`](srctree/drivers/vfio/pci/liveupdate/vfio_pci_liveupdate.h)

use crate::record::{
    Record,
    Registers, //
};
use core::ptr::NonNull;
use kernel::{
    bindings,
    device::Bound,
    error::{
        from_err_ptr,
        to_result, //
    },
    ffi::c_int,
    fs::File,
    liveupdate::{
        Binding,
        FileHandler, //
    },
    pci::{
        self,
        Address, //
    },
    prelude::*,
    sync::aref::ARef,
    types::Opaque, //
};

/// A device that a file is open for.
///
/// Wraps the kernel's `struct vfio_pci_core_device`.
///
/// # Invariants
///
/// The device is one of vfio-pci's own, and open: its file is bound to an iommufd.
#[repr(transparent)]
pub(crate) struct Device(Opaque<bindings::vfio_pci_core_device>);

impl Device {
    /// The device of a file, if that is one of vfio-pci's own, which came from the character device
    /// and is bound to an iommufd.
    ///
    /// Once a file is, it stays so until it is closed.
    pub(crate) fn of(file: &File) -> Option<&Self> {
        // SAFETY: The file is open, as there is a reference to it.
        let device = unsafe { bindings::vfio_pci_liveupdate_device_of(file.as_ptr()) };

        // INVARIANT: As the function says.
        // SAFETY: If the pointer isn't null, the device stays there, and open, as long as the file
        // does.
        NonNull::new(device).map(|device| unsafe { device.cast().as_ref() })
    }

    fn as_raw(&self) -> *mut bindings::vfio_pci_core_device {
        self.0.get()
    }

    /// The PCI device.
    pub(crate) fn pdev(&self) -> &pci::Device<Bound> {
        // SAFETY: By the type invariant the device is valid.
        let pdev = unsafe { bindings::vfio_pci_liveupdate_pdev(self.as_raw()) };

        // SAFETY: The PCI device outlives ours, and stays bound as long as ours is open: who
        // unbinds it waits for that. `pci::Device` is a transparent wrapper of it.
        unsafe { &*pdev.cast() }
    }

    /// Lets the user do nothing to the device any more.
    ///
    /// Context: May sleep. Takes locks of the device.
    ///
    /// # Errors
    ///
    /// `EBUSY` when a system call on it does not end, which is logged.
    pub(crate) fn freeze(&self) -> Result {
        // SAFETY: By the type invariant the device is open.
        to_result(unsafe { bindings::vfio_pci_core_freeze(self.as_raw()) })
    }

    /// Whether its user has attached it to a page table of his own, if the previous kernel's has
    /// translated its DMA since. If not, the log says so.
    ///
    /// Context: May sleep. Takes the mutex of its IOMMU group.
    pub(crate) fn is_attached(&self) -> bool {
        // SAFETY: By the type invariant the device is open.
        unsafe { bindings::vfio_pci_liveupdate_is_attached(self.as_raw()) }
    }

    /// Makes sure that all is preserved which the device can reach, if its IOMMU stays on for it.
    ///
    /// Context: May sleep.
    ///
    /// # Errors
    ///
    /// `EBUSY`, which is logged.
    pub(crate) fn check_translation(&self) -> Result {
        // SAFETY: By the type invariant the device is open.
        to_result(unsafe { bindings::vfio_pci_liveupdate_check_translation(self.as_raw()) })
    }

    /// Undoes [`Device::freeze`].
    ///
    /// Context: May sleep. Takes locks of the device.
    pub(crate) fn unfreeze(&self) {
        // SAFETY: By the type invariant the device is open.
        unsafe { bindings::vfio_pci_core_unfreeze(self.as_raw()) };
    }
}

/// Whether a file is one of vfio-pci, and of a kind that can be preserved. If not, the log says
/// why.
pub(crate) fn can_preserve(file: &File) -> bool {
    // SAFETY: The file is open, as there is a reference to it.
    unsafe { bindings::vfio_pci_liveupdate_can_preserve(file.as_ptr()) }
}

/// Notes that a device is preserved by way of `file`. Gives the flags of its record, as whether its
/// user wants it not to be stopped, which can't be changed any more, and what was in its registers
/// before its first user had it.
///
/// Until [`unset_preserved`], the file must be LUO's.
///
/// # Errors
///
/// `ENODEV` when it is just being removed; `EOPNOTSUPP`, which is logged, when it is not to be
/// stopped, and its translation can't go on; `ENOMEM`.
pub(crate) fn set_preserved(pdev: &pci::Device, file: &File) -> Result<(u32, Registers)> {
    let mut flags = 0;
    let mut registers: Registers = [0; _];

    // SAFETY: The device is valid, and there are as many registers as the function writes. LUO has
    // a reference to the file, until it unpreserves the file, before which the device forgets it.
    to_result(unsafe {
        bindings::vfio_pci_liveupdate_set_preserved(
            pdev.as_raw(),
            file.as_ptr(),
            &mut flags,
            registers.as_mut_ptr(),
        )
    })?;
    Ok((flags, registers))
}

/// Undoes [`set_preserved`].
pub(crate) fn unset_preserved(pdev: &pci::Device) {
    // SAFETY: The device is valid.
    unsafe { bindings::vfio_pci_liveupdate_unset_preserved(pdev.as_raw()) };
}

/// Whether a device that was preserved is removed, and nobody has it open any more.
pub(crate) fn is_gone(pdev: &pci::Device) -> bool {
    // SAFETY: The device is valid.
    unsafe { bindings::vfio_pci_liveupdate_is_gone(pdev.as_raw()) }
}

/// Makes sure that no device of vfio-pci is being removed, which would keep the machine from going
/// down for as long as its user has it open.
///
/// Context: May sleep, for a second.
///
/// # Errors
///
/// `EBUSY`, which is logged.
pub(crate) fn refuse_removals() -> Result {
    // SAFETY: FFI call without requirements.
    to_result(unsafe { bindings::vfio_pci_liveupdate_refuse_removals() })
}

/// Binds what IOMMUs hand over to the files of a handler.
///
/// Context: May sleep.
pub(crate) fn register_translation<H: FileHandler>(files: &Binding<'_, H>) -> Result {
    // SAFETY: The handler is registered, as there is a `Binding`.
    to_result(unsafe { bindings::iommu_liveupdate_register_flb(files.as_raw()) })
}

/// Binds vfio-pci to a device that has no driver.
///
/// Context: May sleep. Takes the lock of the device.
pub(crate) fn attach(pdev: &pci::Device) {
    // SAFETY: The device is valid.
    unsafe { bindings::vfio_pci_liveupdate_attach(pdev.as_raw()) };
}

/// Begins to reset a device that was handed over stopped, so that its user need not wait for that.
pub(crate) fn begin_reset(pdev: &pci::Device) {
    // SAFETY: The device is valid.
    unsafe { bindings::vfio_pci_liveupdate_begin_reset(pdev.as_raw()) };
}

/// Stops a device that a record leads to, but that the PCI core doesn't know to be handed over.
///
/// Context: May sleep.
pub(crate) fn stop_stray(pdev: &pci::Device) {
    // SAFETY: The device is valid.
    unsafe { bindings::vfio_pci_liveupdate_stop_stray(pdev.as_raw()) };
}

/// Stops all incoming devices that no record leads to.
///
/// Context: May sleep. Takes the lock of the list of records.
pub(crate) fn stop_unclaimed() {
    // SAFETY: FFI call without requirements.
    unsafe { bindings::vfio_pci_liveupdate_stop_unclaimed() };
}

/// Finishes a device that is not there.
///
/// Context: May sleep.
pub(crate) fn finish_absent(Address { domain, bdf }: Address) {
    // SAFETY: The function accepts any address.
    unsafe { bindings::pci_liveupdate_finish_absent(domain as c_int, bdf) };
}

/// Whether a device was handed over at an address, and is not there.
pub(crate) fn is_absent(Address { domain, bdf }: Address) -> bool {
    // SAFETY: The function accepts any address.
    unsafe { bindings::pci_liveupdate_is_absent(domain as c_int, bdf) }
}

/// Stops what was handed over and is not there. Tells whether none of it can be running.
///
/// Context: May sleep.
pub(crate) fn stop_absent() -> bool {
    // SAFETY: FFI call without requirements.
    unsafe { bindings::pci_liveupdate_stop_absent() }
}

/// Makes a file for a device, as if its character device had been opened.
///
/// `record` tells whether the device was handed over without being stopped. If nobody has stopped
/// it since, nor the IOMMU, it isn't reset when the file is bound.
///
/// Context: May sleep.
///
/// # Errors
///
/// `ENODEV` when vfio-pci is not bound to the device, or not for long; `EPERM` when the device has
/// no IOMMU and the caller lacks `CAP_SYS_RAWIO`; `ENFILE`, `ENOMEM`.
pub(crate) fn open(pdev: &pci::Device, record: &Record) -> Result<ARef<File>> {
    // SAFETY: The device is valid, and there are as many registers as the function reads.
    let file = from_err_ptr(unsafe {
        bindings::vfio_pci_liveupdate_open(
            pdev.as_raw(),
            record.flags(),
            record.registers().as_ptr(),
        )
    })?;

    // SAFETY: We own the reference to the file, and nobody knows the file yet, so its position is
    // not in use.
    Ok(unsafe { ARef::from_raw(NonNull::new(file).ok_or(ENOMEM)?.cast()) })
}
