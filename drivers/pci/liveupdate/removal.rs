// SPDX-License-Identifier: GPL-2.0

//! Devices are removed, or are not to be.

use crate::{
    incoming::records,
    state::Device, //
};
use kernel::{
    bindings,
    prelude::*, //
};

impl Device<'_> {
    /// An incoming device is removed, or was not even set up.
    pub(crate) fn note_removed(self) {
        if let Some(records) = records() {
            records.lock().note_removed(self);
        }
    }

    /// The device is removed. Says what becomes of it.
    ///
    /// An outgoing device is not handed over, so it does no DMA any more. An incoming one can be
    /// finished all the same, and is incoming when it comes again.
    pub(crate) fn remove(self) {
        if self.is_outgoing() {
            dev_warn!(
                self.as_dev(),
                "liveupdate: removed while preserved for the next kernel\n"
            );
            // It may be there still, and the next kernel will not know that it is at work.
            if !self.is_bridge() {
                self.clear_master();
            }
        }
        if !self.is_incoming() {
            return;
        }
        dev_warn!(
            self.as_dev(),
            "liveupdate: removed before it was finished\n"
        );
        if !self.is_bridge() && self.may_run() {
            self.stop_removed();
        }
        // What is below a bridge that has lost its bus numbers may be at work all the while.
        if self.has_lost_bus_numbers() {
            self.clear_master();
            self.forget_lost_bus_numbers();
        } else {
            self.note_removed();
        }
    }

    /// Whether userspace may reset the device, or all that is below it.
    pub(crate) fn may_reset(self) -> Result {
        let why = if !self.is_bridge() {
            if !self.is_incoming() {
                return Ok(());
            }
            // It would be as it was after that, be it stopped meanwhile or not.
            "it was preserved by the previous kernel"
        } else if self.is_outgoing() {
            "a device below it is preserved for the next kernel"
        } else if self.is_kept() {
            "a device below it was preserved by the previous kernel"
        } else {
            return Ok(());
        };

        dev_warn!(self.as_dev(), "liveupdate: cannot be reset: {why}\n");
        Err(EBUSY)
    }

    /// Whether userspace may unbind the device from its driver, or remove it.
    pub(crate) fn may_unbind(self) -> Result {
        // SAFETY: FFI call without requirements.
        let is_held_off = unsafe { bindings::pci_liveupdate_are_removals_held_off() };
        let why = if self.is_outgoing() {
            "preserved for the next kernel"
        } else if is_held_off {
            "the next kernel is on its way"
        } else {
            return Ok(());
        };

        dev_warn!(
            self.as_dev(),
            "liveupdate: cannot be unbound or removed: {why}\n"
        );
        Err(EBUSY)
    }
}
