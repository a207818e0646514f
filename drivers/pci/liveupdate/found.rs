// SPDX-License-Identifier: GPL-2.0

//! Devices are found, and are incoming or not.

use crate::{
    flb::FLB,
    incoming::{
        has_ended,
        is_unreadable,
        records,
        stops_found,
        Outcome,
        Records, //
    },
    state::Device,
    validate::Unreadable, //
};
use kernel::{
    bindings,
    prelude::*,
    sync::atomic::Relaxed, //
};

/// Finds out what was handed over, unless that is known.
fn ask() {
    if Outcome::get().is_some() {
        return;
    }

    let outcome = match FLB.incoming() {
        // It was read, or not, when we asked.
        Ok(_) => return,
        Err(EOPNOTSUPP) => Outcome::Off,
        Err(ENODATA) => Outcome::None,
        Err(ENOENT) => Outcome::Foreign,
        Err(error) => Outcome::Unreadable(Unreadable::Refused(error)),
    };
    let is_foreign = matches!(outcome, Outcome::Foreign);

    if outcome.set() && is_foreign {
        pr_info!("the previous kernel handed over no PCI devices\n");
    }
}

impl Device<'_> {
    /// Finds out whether a device that was just found is incoming.
    pub(crate) fn look_up(self) {
        ask();
        if let Some(records) = records() {
            self.adopt(records);
        }
        if !self.is_bridge() {
            if stops_found() {
                self.stop_found();
            }
        } else if is_unreadable() && self.has_bus_numbers() {
            // Without bus numbers nothing below it can be at work.
            self.inherits().store(true, Relaxed);
        }
    }

    /// Makes the device incoming if there is a record of it that isn't finished.
    fn adopt(self, records: &Records) {
        let address = self.address();
        let is_incoming = || records.find(address).is_some();

        // Most devices have none, which needs no lock to see. And a virtual function is never
        // preserved, whatever the records say.
        if !is_incoming() || self.is_virtual_function() {
            return;
        }

        let changes = records.lock();

        // The driver of the device that was found here before may have finished it just now.
        if !is_incoming() {
            return;
        }

        let is_found_again = changes.was_removed(address);

        self.inherits().store(true, Relaxed);
        self.found_again().store(is_found_again, Relaxed);
        dev_info!(
            self.as_dev(),
            "liveupdate: preserved by the previous kernel\n"
        );
        if self.is_bridge() {
            return;
        }
        // Nobody handles an interrupt that it may be asserting: those who share the line would
        // not be heard any more.
        //
        // SAFETY: The device is valid.
        unsafe { bindings::pci_intx(self.as_raw(), 0) };
        if is_found_again {
            self.stopped().store(true, Relaxed);
        }
        // Nobody is left who could take it back.
        if has_ended() {
            changes.finish(self);
            self.inherits().store(false, Relaxed);
        }
        if is_found_again || has_ended() {
            self.stop_found();
        }
    }

    /// Keeps a device that is being set up, and awake, from sleeping if it is incoming.
    pub(crate) fn keep_awake(self) {
        if self.is_incoming() {
            // SAFETY: The device is valid.
            unsafe { bindings::pm_runtime_get_noresume(self.as_generic()) };
            self.kept_awake().store(true, Relaxed);
        }
    }

    /// The device was set up, and a driver may have it next.
    pub(crate) fn added(self) {
        self.reset_if_due();

        // It may have been finished with all others, before it could be seen.
        if has_ended() && !self.is_bridge() && self.inherits().load(Relaxed) {
            self.give_up();
        }
        if !self.is_incoming() {
            self.let_sleep();
        }
    }

    /// Setting up the device has failed. Its record stays, so that it is incoming when it can be
    /// set up.
    pub(crate) fn cleanup(self) {
        if self.is_incoming() && !self.is_bridge() {
            self.stop_found();
            self.note_removed();
        }
    }
}
