// SPDX-License-Identifier: GPL-2.0

//! Devices are preserved for the next kernel, and unpreserved.

use crate::{
    buses::BusNumbers,
    flb::FLB,
    state::Device, //
};
use kernel::prelude::*;

impl Device<'_> {
    /// Records the device for the next kernel, and the bridges above it.
    pub(crate) fn preserve(self) -> Result {
        self.check_eligible()?;
        // Not to be waited for in vain; it may be removed right after that, too.
        if self.is_removed() {
            return Err(ENODEV);
        }

        let data = FLB.outgoing()?;
        let bridge = self.wake_bridge()?;
        let _buses = BusNumbers::hold(self)?;
        let mut outgoing = data.lock();

        if self.is_removed() || !self.has_driver() {
            return Err(ENODEV);
        }
        if outgoing.is_frozen() {
            dev_warn!(
                self.as_dev(),
                "liveupdate: cannot be preserved: the next kernel is on its way\n"
            );
            return Err(EBUSY);
        }

        let most = outgoing.len() + self.path().count();

        // To be written to when memory must not be short.
        outgoing.as_mut().reserve(most)?;
        let new = outgoing.as_mut().state().preserve(self, bridge)?;

        for device in self.path().take(new) {
            dev_info!(
                device.as_dev(),
                "liveupdate: preserved for the next kernel\n"
            );
        }
        Ok(())
    }

    /// Takes back [`Device::preserve`].
    pub(crate) fn unpreserve(self) -> Result {
        self.try_unpreserve().map_err(|error| match error {
            EBUSY => {
                dev_warn!(
                    self.as_dev(),
                    "liveupdate: cannot unpreserve: the next kernel is on its way\n"
                );
                EBUSY
            }
            _ => {
                dev_warn!(
                    self.as_dev(),
                    "liveupdate: cannot unpreserve: not preserved\n"
                );
                ENOENT
            }
        })
    }

    fn try_unpreserve(self) -> Result {
        let data = FLB.outgoing()?;
        let mut outgoing = data.lock();

        // A bridge is not preserved by itself.
        if outgoing.is_frozen() && !self.is_bridge() {
            return Err(EBUSY);
        }
        match outgoing.as_mut().state().unpreserve(self) {
            Ok(gone) => {
                for device in self.path().take(gone) {
                    dev_info!(
                        device.as_dev(),
                        "liveupdate: no longer preserved for the next kernel\n"
                    );
                }
                Ok(())
            }
            // It may have been left out of a hand-over that was called off.
            Err(ENOENT) if self.is_removed() && !self.is_bridge() => Ok(()),
            Err(error) => Err(error),
        }
    }
}
