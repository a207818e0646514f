// SPDX-License-Identifier: GPL-2.0

//! PCI devices that are locked, so that they keep their driver.

use super::{
    liveupdate::Preservation,
    Device, //
};
use crate::{
    bindings,
    device,
    prelude::*,
    types::NotThreadSafe, //
};

/// A device that is locked: it is neither bound to a driver meanwhile nor unbound from one.
///
/// # Invariants
///
/// The lock of the device is held by this thread.
pub struct Locked<'a> {
    device: &'a Device,
    _not_send: NotThreadSafe,
}

impl Device {
    /// Locks the device, unless somebody else has.
    ///
    /// For who must not wait for the lock, as who holds it may be waiting for him: a driver is
    /// unbound with it held.
    ///
    /// Context: May sleep.
    #[inline]
    pub fn try_lock(&self) -> Option<Locked<'_>> {
        let device: &device::Device = self.as_ref();

        // SAFETY: The device is valid.
        (unsafe { bindings::device_trylock(device.as_raw()) } != 0).then(|| {
            // INVARIANT: It was locked just now.
            Locked {
                device: self,
                _not_send: NotThreadSafe,
            }
        })
    }
}

impl Locked<'_> {
    fn generic(&self) -> &device::Device {
        self.device.as_ref()
    }

    /// The device, if it is bound to a driver.
    ///
    /// Not for everybody: whoever has a bound device may leave something behind that is dropped
    /// when it is unbound, which his module has to be there for, as that of its driver is.
    fn bound(&self) -> Option<&Device<device::Bound>> {
        // SAFETY: The device is valid.
        let is_bound = unsafe { bindings::device_is_bound(self.generic().as_raw()) };

        // SAFETY: `Device` is a transparent wrapper whatever the context. By the type invariant the
        // device stays bound as long as `self` is borrowed, as it is locked.
        is_bound.then(|| unsafe { &*self.device.as_raw().cast() })
    }

    /// Tells the next kernel that the device is kept alive, if it is bound to a driver; see
    /// [`Device::liveupdate_preserve`].
    ///
    /// # Errors
    ///
    /// Those, or `ENODEV` if it isn't bound.
    pub fn liveupdate_preserve(&self) -> Result<Preservation> {
        self.bound().ok_or(ENODEV)?.liveupdate_preserve()
    }

    /// The name of the driver that the device is bound to, if it is.
    pub fn driver_name(&self) -> Option<&CStr> {
        let device: &device::Device<device::Bound> = self.bound()?.as_ref();

        // SAFETY: A device that is bound has a driver, which stays registered as long as it is
        // bound. Its name is a string that lasts as long.
        Some(unsafe { CStr::from_char_ptr((*(*device.as_raw()).driver).name) })
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant this thread holds the lock.
        unsafe { bindings::device_unlock(self.generic().as_raw()) };
    }
}
