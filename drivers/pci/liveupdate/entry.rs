// SPDX-License-Identifier: GPL-2.0

//! The functions that drivers and the PCI core call.
//!
//! The only place of the crate where devices come in as raw pointers. Each function makes a typed
//! reference of it, calls one method, and makes an errno of the result. What the functions are for
//! is documented in `include/linux/pci_liveupdate.h` for drivers, here for the PCI core.

use crate::{
    device::Device,
    incoming,
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
unsafe extern "C" fn pci_liveupdate_unpreserve(dev: *mut bindings::pci_dev) -> c_int {
    from_result(|| {
        // SAFETY: By the safety requirements.
        unsafe { Device::from_raw(dev) }.unpreserve()?;
        Ok(0)
    })
}

/// # Safety
///
/// `dev` must point to a valid device.
#[export]
unsafe extern "C" fn pci_liveupdate_finish(dev: *mut bindings::pci_dev) {
    // SAFETY: By the safety requirements.
    unsafe { Device::from_raw(dev) }.finish();
}

/// # Safety
///
/// `dev` must point to a valid device.
#[export]
unsafe extern "C" fn pci_liveupdate_is_incoming(dev: *mut bindings::pci_dev) -> bool {
    // SAFETY: By the safety requirements.
    unsafe { Device::from_raw(dev) }.is_incoming()
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

/// Undoes [`pci_liveupdate_setup_device`] when setting up the device fails after it.
///
/// Context: May sleep.
///
/// # Safety
///
/// `dev` must point to a valid device, which nobody else uses.
#[export]
unsafe extern "C" fn pci_liveupdate_cleanup_device(dev: *mut bindings::pci_dev) {
    // SAFETY: By the safety requirements.
    unsafe { Device::from_raw(dev) }.cleanup();
}

/// Undoes [`pci_liveupdate_setup_device`] when the device is removed, which is logged if any kernel
/// counts on it.
///
/// Context: May sleep.
///
/// # Safety
///
/// `dev` must point to a valid device. It may have been bound to a driver again since it was stopped.
#[export]
unsafe extern "C" fn pci_liveupdate_device_removed(dev: *mut bindings::pci_dev) {
    // SAFETY: By the safety requirements.
    unsafe { Device::from_raw(dev) }.remove();
}

/// Asks whether userspace may unbind a device from its driver, or remove it.
///
/// A driver may preserve the device between this and what is asked for, and must cope with it.
///
/// Context: May sleep.
///
/// Returns 0, or -EBUSY when it is preserved for the next kernel, itself or as a bridge.
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

/// Asks whether the bus numbers that are found in bridges are to stay, for as long as this kernel
/// runs.
///
/// Context: Any context. The answer is final once the first device was set up.
///
/// # Safety
///
/// It is safe to call; that it is declared otherwise is for older compilers, to which all functions
/// that C has declared are unsafe.
#[export]
unsafe extern "C" fn pci_liveupdate_keep_buses() -> bool {
    incoming::keep_buses()
}

/// Takes note that a bridge has no valid bus numbers, when bus numbers are to stay.
///
/// Context: May sleep. `pci_rescan_remove_lock` is held.
///
/// # Safety
///
/// `bridge` must point to a valid bridge.
#[export]
unsafe extern "C" fn pci_liveupdate_bus_numbers_lost(bridge: *mut bindings::pci_dev) {
    // SAFETY: By the safety requirements.
    unsafe { Device::from_raw(bridge) }.bus_numbers_lost();
}

/// Asks whether a bridge may get new bus numbers, from `number` on, when bus numbers are to stay.
///
/// Context: May sleep. `pci_rescan_remove_lock` is held.
///
/// # Safety
///
/// `bridge` must point to a valid bridge.
#[export]
unsafe extern "C" fn pci_liveupdate_may_assign_bus(
    bridge: *mut bindings::pci_dev,
    number: c_int,
) -> bool {
    // SAFETY: By the safety requirements.
    unsafe { Device::from_raw(bridge) }.may_assign_bus(number)
}

/// Asks whether what the previous kernel set up in a device must be left alone.
///
/// So it is as long as the device is incoming, and for ever in bridges if it isn't known which are.
///
/// Context: Any context.
///
/// # Safety
///
/// `dev` must point to a valid device.
#[export]
unsafe extern "C" fn pci_liveupdate_is_kept(dev: *mut bindings::pci_dev) -> bool {
    // SAFETY: By the safety requirements.
    let device = unsafe { Device::from_raw(dev) };

    device.is_incoming() || (incoming::is_unreadable() && device.is_bridge())
}

/// Adopts the ACS controls of a device that is being set up.
///
/// Context: May sleep.
///
/// # Safety
///
/// `dev` must point to a valid device, whose ACS capability was looked up, and which nobody else
/// uses yet.
#[export]
unsafe extern "C" fn pci_liveupdate_adopt_acs(dev: *mut bindings::pci_dev) {
    // SAFETY: By the safety requirements.
    unsafe { Device::from_raw(dev).adopt_acs() };
}

/// Writes the ACS controls that a device keeps back to it, if they are not there any more.
///
/// Context: Any context.
///
/// # Safety
///
/// `dev` must point to a valid device, with `liveupdate_keeps_acs` set.
#[export]
unsafe extern "C" fn pci_liveupdate_write_acs(dev: *mut bindings::pci_dev) {
    // SAFETY: By the safety requirements.
    unsafe { Device::from_raw(dev).write_acs() };
}
