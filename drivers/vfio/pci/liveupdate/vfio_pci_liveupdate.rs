// SPDX-License-Identifier: GPL-2.0

//! Files of vfio-pci that survive a live update.
//!
//! The part of vfio-pci that the Live Update Orchestrator calls when a virtual machine monitor
//! preserves the file of a device in a session, and gets it back from the next kernel:
//!
//! - [`handler`]: what is called when.
//! - [`device`]: what can be done to a device of vfio-pci.
//! - [`incoming`]: what the previous kernel handed over, and to whom.
//! - [`record`]: the format in which one kernel tells the next about a file.
//!
//! Locks, outermost first:
//!
//! 1. LUO's, of the session and the file, held by whoever calls [`handler`]. Whoever removes a
//!    device may hold the device's lock, and that of the PCI bus, and wait for these. So none of
//!    the latter may be waited for in [`handler`]; nor that of the device set, which is held while
//!    memory is accessed that belongs to a user.
//! 2. That of the list of records, in [`incoming`].
//! 3. That of the list of devices, in `device.c`, which also protects what a user wishes. LUO's
//!    spinlock of the files that it knows is taken with it. A device may be woken, stopped and
//!    reset with it held, for which locks of devices are only tried.
//! 4. `ioeventfds_lock` to unfreeze the device, or `igate` to take its interrupts away.
//! 5. `memory_lock`, to freeze the device, and for these.
//!
//! What hands all devices over at once, when the machine jumps, takes the lock of each in a work
//! item, with none of these held.
//!
//! No lock keeps a user's system calls out of a frozen device: they are in a list, see
//! `include/linux/vfio_liveupdate.h`.
//!
//! `Documentation/driver-api/vfio-pci-liveupdate.rst` explains the model and what a user can do.

#![recursion_limit = "256"]

use kernel::{
    error::from_result,
    ffi::c_int,
    liveupdate::Registration,
    prelude::*, //
};

mod device;
mod handler;
mod incoming;
mod record;

kernel::part_of_module!("vfio-pci");

kernel::sync::global_lock! {
    // SAFETY: `vfio_pci_liveupdate_init()` initialises it before anything uses it.
    unsafe(uninit) static REGISTRATION: Mutex<Option<Registration<handler::Files>>> = None;
}

/// Begins to preserve files.
///
/// # Errors
///
/// `ENOMEM`.
///
/// # Safety
///
/// To be called once, when the driver is registered, so that its devices are there when their
/// files are retrieved.
#[export]
unsafe extern "C" fn vfio_pci_liveupdate_init() -> c_int {
    // SAFETY: The caller guarantees that this is called once, before anything uses them.
    unsafe {
        incoming::init();
        REGISTRATION.init();
    }

    from_result(|| {
        let registration = handler::register()?;
        let is_registered = registration.is_some();

        *REGISTRATION.lock() = registration;
        // SAFETY: This is called once.
        unsafe { kernel::bindings::vfio_pci_liveupdate_begin() };
        // Whoever asked for this module asks for a file next, and perhaps once only.
        if is_registered {
            incoming::attach();
        }
        Ok(0)
    })
}

/// Ends to preserve files.
///
/// # Safety
///
/// To be called after [`vfio_pci_liveupdate_init`].
#[export]
unsafe extern "C" fn vfio_pci_liveupdate_exit() {
    let registration = REGISTRATION.lock().take();

    drop(registration);
    incoming::forget_all();
    // SAFETY: It was begun.
    unsafe { kernel::bindings::vfio_pci_liveupdate_end() };
}
