// SPDX-License-Identifier: GPL-2.0

//! The functions that drivers and the PCI core call.
//!
//! The only place of the crate where devices come in as raw pointers. Each function makes a typed
//! reference of it, calls one method, and makes an errno of the result. What the functions are for
//! is documented in `include/linux/pci_liveupdate.h` for drivers, here for the PCI core.

use crate::{
    device::Device,
    RECORDS, //
};
use kernel::{
    bindings,
    error::{
        from_result,
        to_result, //
    },
    ffi::c_int,
    prelude::*, //
};

/// # Safety
///
/// `fh` must be a registered file handler, which stays valid until it is unregistered.
#[export]
unsafe extern "C" fn pci_liveupdate_register_flb(
    fh: *mut bindings::liveupdate_file_handler,
) -> c_int {
    from_result(|| {
        // SAFETY: By the safety requirements; `RECORDS` is static.
        to_result(unsafe { bindings::liveupdate_register_flb(fh, RECORDS.as_raw()) })?;
        Ok(0)
    })
}

/// # Safety
///
/// `fh` must be a registered file handler, of which no file is preserved.
#[export]
unsafe extern "C" fn pci_liveupdate_unregister_flb(fh: *mut bindings::liveupdate_file_handler) {
    // SAFETY: By the safety requirements; `RECORDS` is static.
    unsafe { bindings::liveupdate_unregister_flb(fh, RECORDS.as_raw()) };
}

/// # Safety
///
/// `dev` must point to a valid device.
#[export]
unsafe extern "C" fn pci_liveupdate_preserve(dev: *mut bindings::pci_dev) -> c_int {
    from_result(|| {
        // SAFETY: By the safety requirements.
        unsafe { Device::from_raw(dev) }.preserve()?;
        Ok(0)
    })
}

/// # Safety
///
/// `dev` must point to a valid device.
#[export]
unsafe extern "C" fn pci_liveupdate_unpreserve(dev: *mut bindings::pci_dev) {
    // SAFETY: By the safety requirements.
    unsafe { Device::from_raw(dev) }.unpreserve();
}

/// # Safety
///
/// `dev` must point to a valid device.
#[export]
unsafe extern "C" fn pci_liveupdate_finish(dev: *mut bindings::pci_dev) {
    // SAFETY: By the safety requirements.
    unsafe { Device::from_raw(dev) }.finish();
}

/// Finds out whether a device that is being set up is incoming.
///
/// Called as soon as its address is known, before anything of it is written. Makes
/// `liveupdate_incoming` point to its record if it is.
///
/// Context: May sleep.
///
/// # Safety
///
/// `dev` must point to a valid device, which nobody else uses yet.
#[export]
unsafe extern "C" fn pci_liveupdate_setup_device(dev: *mut bindings::pci_dev) {
    // SAFETY: By the safety requirements.
    unsafe { Device::from_raw(dev) }.setup();
}

/// Undoes [`pci_liveupdate_setup_device`] when the device goes away, or when setting it up fails.
///
/// Context: Any context.
///
/// # Safety
///
/// `dev` must point to a valid device, which nobody else uses any more.
#[export]
unsafe extern "C" fn pci_liveupdate_cleanup_device(dev: *mut bindings::pci_dev) {
    // SAFETY: By the safety requirements.
    unsafe { Device::from_raw(dev) }.cleanup();
}

/// Asks whether userspace may remove a device, and with it all that is below it.
///
/// Context: May sleep.
///
/// Returns 0, or -EBUSY when any of them is preserved for the next kernel.
///
/// # Safety
///
/// `dev` must point to a valid device.
#[export]
unsafe extern "C" fn pci_liveupdate_may_remove(dev: *mut bindings::pci_dev) -> c_int {
    from_result(|| {
        // SAFETY: By the safety requirements.
        unsafe { Device::from_raw(dev) }.may_remove()?;
        Ok(0)
    })
}

/// Asks whether userspace may unbind a device from its driver.
///
/// A driver may preserve the device between this and the unbinding, and must cope with it.
///
/// Context: May sleep.
///
/// Returns 0, or -EBUSY when it is preserved for the next kernel.
///
/// # Safety
///
/// `dev` must point to a valid device.
#[export]
unsafe extern "C" fn pci_liveupdate_may_unbind(dev: *mut bindings::pci_dev) -> c_int {
    from_result(|| {
        // SAFETY: By the safety requirements.
        unsafe { Device::from_raw(dev) }.may_unbind()?;
        Ok(0)
    })
}
