// SPDX-License-Identifier: GPL-2.0

//! Bus numbers that stay.
//!
//! Requester IDs have bus numbers in them, and completions find their way by those that bridges
//! have. So once a device was handed over, no bridge that has numbers gets others. Bridges that
//! have none get some that are free, unless they are on a bus with a preserved bridge that lost its
//! own: the devices below it may still be using those.

use crate::{
    device::Device,
    incoming, //
};
use kernel::{
    bindings,
    prelude::*, //
};

impl Device<'_> {
    /// The bus that the device is on.
    fn bus(self) -> *mut bindings::pci_bus {
        // SAFETY: The device is valid. Its bus never changes.
        unsafe { (*self.as_raw()).bus }
    }

    /// Takes note that this bridge has no valid bus numbers.
    pub(crate) fn bus_numbers_lost(self) {
        if !self.is_incoming_bridge() {
            return;
        }
        dev_err!(
            self.as_dev(),
            "liveupdate: its bus numbers are lost: nothing below it is enumerated\n"
        );

        // SAFETY: The device has a reference to its bus. The field is only accessed while buses are
        // scanned, by one thread at a time.
        unsafe { (*self.bus()).liveupdate_lost_numbers = true };
    }

    /// Whether this bridge may get new bus numbers, from `number` on.
    pub(crate) fn may_assign_bus(self, number: i32) -> bool {
        let bus = self.bus();

        // SAFETY: As above.
        if unsafe { (*bus).liveupdate_lost_numbers } && incoming::is_there() {
            // This was said of the bridge already if it is the one.
            if !self.is_incoming_bridge() {
                dev_err!(
                    self.as_dev(),
                    "liveupdate: gets no bus numbers: a preserved bridge on its bus lost its own\n"
                );
            }
            return false;
        }

        // SAFETY: As above; the bus numbers of a bus change while buses are scanned only.
        let last = unsafe { (*bus).busn_res.end };

        if u64::try_from(number).is_ok_and(|number| number <= last) {
            return true;
        }
        dev_err!(
            self.as_dev(),
            "liveupdate: gets no bus numbers: none is free\n"
        );
        false
    }
}
