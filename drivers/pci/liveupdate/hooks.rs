// SPDX-License-Identifier: GPL-2.0

//! The functions that drivers and the PCI core call.
//!
//! The only place of the crate where devices come in as raw pointers. Each function makes a typed
//! reference of it, calls one method, and makes an errno of the result. What those for drivers do
//! is documented in `include/linux/pci_liveupdate.h`.

use crate::{
    end,
    flb::FLB,
    incoming,
    outgoing,
    state::Device, //
};
use kernel::{
    bindings,
    error::{
        from_result,
        to_result, //
    },
    ffi::{
        c_char,
        c_int, //
    },
    pci::Address,
    prelude::*, //
};

/// What a method has to say, for C.
trait Answer {
    type InC;

    fn in_c(self) -> Self::InC;
}

impl Answer for () {
    type InC = ();

    fn in_c(self) {}
}

impl Answer for bool {
    type InC = bool;

    fn in_c(self) -> bool {
        self
    }
}

impl Answer for Result {
    type InC = c_int;

    fn in_c(self) -> c_int {
        from_result(|| self.map(|()| 0))
    }
}

/// Functions that call a method of a device.
macro_rules! hooks {
    ($(
        $(#[$doc:meta])*
        fn $name:ident($($arg:ident: $type:ty)?) $(-> $in_c:ty)? => $method:ident;
    )*) => {
        $(
            $(#[$doc])*
            ///
            /// # Safety
            ///
            /// `dev` must point to a device that is valid during the call.
            #[export]
            unsafe extern "C" fn $name(dev: *mut bindings::pci_dev $(, $arg: $type)?) $(-> $in_c)? {
                // SAFETY: The caller guarantees that the device is valid for as long as this is
                // used.
                unsafe { Device::from_raw(dev) }.$method($($arg)?).in_c()
            }
        )*
    };
}

// For drivers.
hooks! {
    fn pci_liveupdate_preserve() -> c_int => preserve;
    fn pci_liveupdate_unpreserve() -> c_int => unpreserve;
    fn pci_liveupdate_finish() => finish;
    fn pci_liveupdate_is_incoming() -> bool => is_incoming;
    fn pci_liveupdate_stop() => stop;
    fn pci_liveupdate_is_stopped() -> bool => is_stopped;
}

// For the PCI core.
hooks! {
    /// Finds out whether a device that is being set up is incoming, as soon as its address is
    /// known, before anything of it is written and anybody else can use it.
    ///
    /// Context: May sleep.
    fn pci_liveupdate_look_up() => look_up;

    /// Takes note that a device is set up, before a driver can have it: it is reset if it was
    /// stopped before that could be done.
    ///
    /// Context: May sleep.
    fn pci_liveupdate_device_added() => added;

    /// Undoes [`pci_liveupdate_look_up`] when setting up the device fails after it.
    ///
    /// Context: May sleep.
    fn pci_liveupdate_cleanup_device() => cleanup;

    /// Takes note that the device is removed, which is logged if any kernel counts on it, and stops
    /// it if it is incoming. It may have been bound to a driver again since it was stopped.
    ///
    /// Context: May sleep.
    fn pci_liveupdate_device_removed() => remove;

    /// Asks whether userspace may unbind a device from its driver, or remove it: -EBUSY when it is
    /// preserved for the next kernel, itself or as a bridge.
    ///
    /// A driver may preserve the device between this and what is asked for, and must cope with it.
    ///
    /// Context: May sleep.
    fn pci_liveupdate_may_unbind() -> c_int => may_unbind;

    /// Asks whether userspace may reset a device, or what is below it: -EBUSY for an incoming
    /// device, and for a bridge if a device below it is preserved, or was and isn't finished.
    ///
    /// Context: Any context.
    fn pci_liveupdate_may_reset() -> c_int => may_reset;

    /// Keeps a device that is being set up, and awake, from sleeping if it is incoming.
    ///
    /// Context: Any context.
    fn pci_liveupdate_keep_awake() => keep_awake;

    /// Asks whether bus mastering stays on in a device while the kernel is replaced.
    ///
    /// Context: May sleep. Takes the lock of the IOMMU group.
    fn pci_liveupdate_keeps_master_in_jump() -> bool => keeps_master_in_jump;

    /// Takes note that a bridge has no valid bus numbers, when bus numbers are to stay.
    ///
    /// Context: May sleep. `pci_rescan_remove_lock` is held.
    fn pci_liveupdate_bus_numbers_lost() => bus_numbers_lost;

    /// Asks whether a bridge may get new bus numbers, from `number` on, when bus numbers are to
    /// stay.
    ///
    /// Context: May sleep. `pci_rescan_remove_lock` is held.
    fn pci_liveupdate_may_assign_bus(number: c_int) -> bool => may_assign_bus;

    /// Asks whether what the previous kernel set up in a device must be left alone: as long as the
    /// device is incoming, and for ever in bridges if it isn't known which are.
    ///
    /// Context: Any context.
    fn pci_liveupdate_is_kept() -> bool => is_kept;

    /// Adopts the ACS controls of a device that is being set up, whose ACS capability was looked
    /// up.
    ///
    /// Context: May sleep.
    fn pci_liveupdate_adopt_acs() => adopt_acs;

    /// Writes the ACS controls that a device keeps back to it, if they are not there any more.
    ///
    /// Context: Any context.
    fn pci_liveupdate_write_acs() => write_acs;
}

/// # Safety
///
/// `fh` must be a registered file handler, which stays valid until it is unregistered.
#[export]
unsafe extern "C" fn pci_liveupdate_register_flb(
    fh: *mut bindings::liveupdate_file_handler,
) -> c_int {
    // SAFETY: The caller guarantees what `fh` is, and `FLB` is static.
    to_result(unsafe { bindings::liveupdate_register_flb(fh, FLB.as_raw()) }).in_c()
}

/// # Safety
///
/// `fh` must be a registered file handler, of which no file is preserved.
#[export]
unsafe extern "C" fn pci_liveupdate_unregister_flb(fh: *mut bindings::liveupdate_file_handler) {
    // SAFETY: The caller guarantees what `fh` is, and `FLB` is static.
    unsafe { bindings::liveupdate_unregister_flb(fh, FLB.as_raw()) };
}

fn address(domain: c_int, bdf: u16) -> Address {
    Address {
        // CAST: Domain numbers are not negative.
        domain: domain as u32,
        bdf,
    }
}

/// # Safety
///
/// It is safe to call; that it is declared otherwise is for older compilers, to which all functions
/// that C has declared are unsafe.
#[export]
unsafe extern "C" fn pci_liveupdate_finish_absent(domain: c_int, bdf: u16) {
    end::finish_at(address(domain, bdf));
}

/// # Safety
///
/// It is safe to call, as [`pci_liveupdate_finish_absent`] is.
#[export]
unsafe extern "C" fn pci_liveupdate_is_absent(domain: c_int, bdf: u16) -> bool {
    end::is_absent(address(domain, bdf))
}

/// # Safety
///
/// It is safe to call, as [`pci_liveupdate_finish_absent`] is.
#[export]
unsafe extern "C" fn pci_liveupdate_stop_absent() -> bool {
    end::stop_absent()
}

/// Asks whether the bus numbers that are found in bridges are to stay: as devices were handed over,
/// or one was preserved, for as long as this kernel runs.
///
/// Context: `pci_rescan_remove_lock` is held, or nobody can preserve a device yet.
///
/// # Safety
///
/// It is safe to call, as [`pci_liveupdate_finish_absent`] is.
#[export]
unsafe extern "C" fn pci_liveupdate_keep_buses() -> bool {
    incoming::keep_buses() || outgoing::keep_buses()
}

/// # Safety
///
/// `dev` must point to a valid device, whose lock the caller holds.
#[export]
unsafe extern "C" fn pci_liveupdate_stop_locked(dev: *mut bindings::pci_dev) {
    // SAFETY: The caller guarantees that the device is valid, and locked.
    unsafe { Device::from_raw(dev).stop_locked() };
}

/// Asks whether a driver that does not know live update may be bound to a device. Logs once if not.
///
/// Context: Any context.
///
/// # Safety
///
/// `dev` must point to a valid device, and `name` be a string.
#[export]
unsafe extern "C" fn pci_liveupdate_may_have_driver(
    dev: *mut bindings::pci_dev,
    name: *const c_char,
    is_override: bool,
) -> bool {
    // SAFETY: The caller guarantees that both are valid for as long as they are used here.
    let (device, name) = unsafe { (Device::from_raw(dev), CStr::from_char_ptr(name)) };

    device.may_have_driver(name, is_override)
}

/// Makes an ordinary device of one that a driver is about to be bound to that does not know live
/// update, but is wanted by userspace.
///
/// Context: May sleep. The lock of the device is held.
///
/// # Safety
///
/// `dev` must point to a valid device, whose lock the caller holds, and `name` be a string.
#[export]
unsafe extern "C" fn pci_liveupdate_give_to_driver(
    dev: *mut bindings::pci_dev,
    name: *const c_char,
) {
    // SAFETY: The caller guarantees that both are valid, and the device locked.
    unsafe { Device::from_raw(dev).give_to_driver(CStr::from_char_ptr(name)) };
}
