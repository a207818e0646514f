// SPDX-License-Identifier: GPL-2.0

//! Which drivers an incoming device can have.
//!
//! A driver that does not know live update resets what it is bound to. So it gets an incoming
//! device only if somebody wants that, who names it in `driver_override`. Then the device is
//! stopped first, and nobody can have it back any more.

use crate::state::Device;
use kernel::{
    prelude::*,
    sync::atomic::Relaxed, //
};

impl Device<'_> {
    /// Whether the device can have the driver of this name, which does not know live update.
    ///
    /// Below a bridge there may be devices that can't be stopped by way of it.
    pub(crate) fn may_have_driver(self, name: &CStr, is_override: bool) -> bool {
        if !self.is_kept() || (is_override && !self.is_bridge()) {
            return true;
        }
        if !self.refused().xchg(true, Relaxed) {
            dev_info!(
                self.as_dev(),
                "liveupdate: not bound to {}, which does not know live update\n",
                name
            );
        }
        false
    }

    /// The driver of this name gets the device next, though it does not know live update.
    ///
    /// # Safety
    ///
    /// The caller must hold the lock of the device.
    pub(crate) unsafe fn give_to_driver(self, name: &CStr) {
        if !self.is_incoming() {
            return;
        }
        // SAFETY: The caller holds the lock of the device.
        unsafe { self.stop_locked() };
        self.try_finish();
        dev_warn!(
            self.as_dev(),
            "liveupdate: stopped, as driver_override binds it to {}, which does not know live update: its file can't be retrieved any more\n",
            name
        );
    }
}
