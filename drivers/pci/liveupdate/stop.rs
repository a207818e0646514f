// SPDX-License-Identifier: GPL-2.0

//! Devices that are to do no DMA any more.
//!
//! A device is stopped when there is nobody, or may be nobody, who gets it back: before the memory
//! goes that it may write to. Bus mastering goes off at once, which is enough for that. A reset, so
//! that the device doesn't take up again what it did when somebody switches bus mastering on, needs
//! locks, which may be held by who waits for our caller. So these are only tried.

use crate::state::Device;
use kernel::{
    bindings,
    error::to_result,
    ffi::c_int,
    prelude::*,
    sync::atomic::Relaxed, //
};

/// `PCI_D0`, which has a type that `bindgen` doesn't know.
const D0: bindings::pci_power_t = 0;

/// A device of which the lock, and access to its configuration, are ours.
///
/// # Invariants
///
/// Both are held.
struct Lock<'a>(Device<'a>);

impl<'a> Lock<'a> {
    fn try_new(device: Device<'a>) -> Result<Self> {
        // SAFETY: The device is valid.
        if unsafe { bindings::pci_dev_trylock(device.as_raw()) } == 0 {
            return Err(EAGAIN);
        }

        // INVARIANT: The function just locked it.
        Ok(Self(device))
    }
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the device is locked.
        unsafe { bindings::pci_dev_unlock(self.0.as_raw()) };
    }
}

/// A device of which access to its configuration is ours.
///
/// # Invariants
///
/// It is held.
struct ConfigLock<'a>(Device<'a>);

impl<'a> ConfigLock<'a> {
    fn try_new(device: Device<'a>) -> Result<Self> {
        // SAFETY: The device is valid.
        if !unsafe { bindings::pci_cfg_access_trylock(device.as_raw()) } {
            return Err(EAGAIN);
        }

        // INVARIANT: The function just locked it.
        Ok(Self(device))
    }
}

impl Drop for ConfigLock<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant access to its configuration is ours.
        unsafe { bindings::pci_cfg_access_unlock(self.0.as_raw()) };
    }
}

impl Device<'_> {
    pub(crate) fn is_bus_master(self) -> bool {
        self.read_word(bindings::PCI_COMMAND as c_int)
            .is_ok_and(|command| u32::from(command) & bindings::PCI_COMMAND_MASTER != 0)
    }

    /// Whether the device has to be stopped: whoever has it may have switched it on again.
    pub(crate) fn may_run(self) -> bool {
        !self.is_stopped() || self.is_bus_master()
    }

    /// Stops the device, and resets it if it can be had for that.
    pub(crate) fn stop(self) {
        self.stop_with(|| Lock::try_new(self));
    }

    /// Stops the device, and resets it.
    ///
    /// # Safety
    ///
    /// The caller must hold the lock of the device.
    pub(crate) unsafe fn stop_locked(self) {
        self.stop_with(|| ConfigLock::try_new(self));
    }

    fn stop_with<L>(self, lock: impl FnOnce() -> Result<L>) {
        // There may be another one in its place, and it was stopped when it was removed.
        if !self.is_removed() {
            self.stop_present(lock);
        }
    }

    /// Stops a device that is just being removed, if it is still there.
    pub(crate) fn stop_removed(self) {
        self.stop_present(|| Lock::try_new(self));
    }

    fn stop_present<L>(self, lock: impl FnOnce() -> Result<L>) {
        self.stopped().store(true, Relaxed);
        // SAFETY: The device is valid.
        if unsafe { bindings::pci_device_is_present(self.as_raw()) } {
            self.halt();
            self.was_stopped(self.reset(lock));
        }
    }

    /// Stops a device that is being set up, if it is found to be a bus master.
    ///
    /// It can only be reset when it is set up. What is a bridge to the host, or to ISA, serves
    /// others; one to the memory of another host does not.
    pub(crate) fn stop_found(self) {
        // SAFETY: The device is valid. The field is set before it is set up any further.
        let class = unsafe { (*self.as_raw()).class } >> 8;
        let serves_others = class >> 8 == bindings::PCI_BASE_CLASS_BRIDGE
            && class != bindings::PCI_CLASS_BRIDGE_OTHER;

        if serves_others || !self.is_bus_master() {
            return;
        }
        dev_warn!(
            self.as_dev(),
            "liveupdate: found to be a bus master, and must not be: stopped\n"
        );
        self.halt();
        self.stopped().store(true, Relaxed);
        self.reset_due().store(true, Relaxed);
    }

    /// Resets the device if it was stopped before that could be done.
    pub(crate) fn reset_if_due(self) {
        if self.reset_due().xchg(false, Relaxed) {
            self.was_stopped(self.reset(|| Lock::try_new(self)));
        }
    }

    /// Ends DMA, and in a bridge that of all that is below.
    pub(crate) fn clear_master(self) {
        // SAFETY: The device is valid.
        unsafe { bindings::pci_clear_master(self.as_raw()) };
    }

    /// Ends DMA and interrupts.
    fn halt(self) {
        let dev = self.as_raw();

        self.clear_master();
        self.disable_interrupts();
        // SAFETY: The device is valid.
        if unsafe { bindings::pci_wait_for_pending_transaction(dev) } == 0 {
            dev_warn!(
                self.as_dev(),
                "liveupdate: transactions are still pending\n"
            );
        }
    }

    fn disable_interrupts(self) {
        let dev = self.as_raw();

        // SAFETY: The device is valid. The fields are set once, and 0 before.
        let (msi, msix) = unsafe {
            bindings::pci_intx(dev, 0);
            ((*dev).msi_cap, (*dev).msix_cap)
        };

        self.clear_flag(msi, bindings::PCI_MSI_FLAGS, bindings::PCI_MSI_FLAGS_ENABLE);
        self.clear_flag(
            msix,
            bindings::PCI_MSIX_FLAGS,
            bindings::PCI_MSIX_FLAGS_ENABLE,
        );
    }

    /// Clears a flag in a register of a capability, if the device has that.
    fn clear_flag(self, capability: u8, register: u32, flag: u32) {
        let offset = c_int::from(capability) + register as c_int;

        if capability == 0 {
            return;
        }
        // An error means that there is no device any more.
        if let Ok(flags) = self.read_word(offset) {
            // SAFETY: The device is valid.
            unsafe {
                bindings::pci_write_config_word(self.as_raw(), offset, flags & !(flag as u16));
            }
        }
    }

    /// Whether the device can be reset, and without waiting for anybody.
    fn can_be_reset(self) -> Result {
        // SAFETY: The device is valid. The slot is not looked into.
        let (method, slot) = unsafe {
            (
                bindings::pci_liveupdate_reset_method(self.as_raw()),
                (&raw const (*self.as_raw()).slot).read_volatile(),
            )
        };

        if method.is_null() {
            return Err(ENOTTY);
        }

        // SAFETY: The names of methods are static strings.
        let method = unsafe { CStr::from_char_ptr(method) };

        // To reset what is in a slot, its hot-plug controller takes a lock with which it waits for
        // who removes devices, which may be our caller, or wait for that.
        if !slot.is_null() && method.to_bytes().ends_with(b"bus") {
            return Err(EBUSY);
        }
        Ok(())
    }

    /// Resets the device, whose configuration stays, with what `lock` gets being held.
    fn reset<L>(self, lock: impl FnOnce() -> Result<L>) -> Result {
        let dev = self.as_raw();

        self.can_be_reset()?;

        let _bridge = self
            .upstream_bridges()
            .next()
            .map(Lock::try_new)
            .transpose()?;
        let _lock = lock()?;

        // SAFETY: The device is valid, and locked.
        let result = unsafe {
            bindings::pci_set_power_state(dev, D0);
            bindings::pci_save_state(dev);
            bindings::pci_write_config_word(
                dev,
                bindings::PCI_COMMAND as c_int,
                bindings::PCI_COMMAND_INTX_DISABLE as u16,
            );
            let result = to_result(bindings::__pci_reset_function_locked(dev));
            bindings::pci_restore_state(dev);
            result
        };

        // A driver's MSIs are not part of the configuration that was saved, but restored.
        self.disable_interrupts();
        result
    }

    /// The device is stopped, and was reset if it could be. What a user left in it is not for the
    /// next one, and nobody is left who knows what was there before.
    fn was_stopped(self, reset: Result) {
        // SAFETY: The device is valid, and nothing is passed.
        unsafe { bindings::pci_liveupdate_restore_registers(self.as_raw(), core::ptr::null()) };

        match reset {
            Ok(()) => dev_info!(self.as_dev(), "liveupdate: stopped, and reset\n"),
            Err(ENOTTY) => dev_warn!(
                self.as_dev(),
                "liveupdate: stopped, but not reset: it has no reset of its own\n"
            ),
            Err(EAGAIN | EBUSY) => dev_warn!(
                self.as_dev(),
                "liveupdate: stopped, but not reset: somebody else has locked it\n"
            ),
            Err(error) => dev_warn!(
                self.as_dev(),
                "liveupdate: stopped, but not reset: error {}\n",
                error.to_errno()
            ),
        }
    }
}
