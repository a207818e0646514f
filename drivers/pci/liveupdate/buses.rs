// SPDX-License-Identifier: GPL-2.0

//! Bus numbers that stay.
//!
//! Requester IDs have bus numbers in them, and completions find their way by those that bridges
//! have. So once a device was handed over, no bridge that has numbers gets others. Bridges that
//! have none get some that are free, unless they are on a bus with a preserved bridge that lost its
//! own: the devices below it may still be using those. So it is already from the first device on
//! that is preserved, also where numbers are assigned anew by each scan.

use crate::{
    incoming,
    outgoing,
    state::Device, //
};
use kernel::{
    bindings,
    error::to_result,
    ffi::c_int,
    pci::Address,
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    }, //
};

/// While this exists, no scan of buses that began before changes bus numbers.
///
/// # Invariants
///
/// If it is true, the lock of who scans them is held.
pub(crate) struct BusNumbers(bool);

impl BusNumbers {
    /// Holds the numbers of bridges, so that `device` can be preserved where it is: a scan that
    /// begins later sees that it is.
    ///
    /// Context: May sleep, for a second.
    ///
    /// # Errors
    ///
    /// `EBUSY` when buses are being scanned, which is logged.
    pub(crate) fn hold(device: Device<'_>) -> Result<Self> {
        // SAFETY: FFI call without requirements.
        let held = unsafe { bindings::pci_liveupdate_hold_bus_numbers() };

        to_result(held).inspect_err(|_| {
            dev_warn!(
                device.as_dev(),
                "liveupdate: cannot be preserved now: buses are being scanned\n"
            );
        })?;
        // INVARIANT: The function says whether it has taken the lock.
        Ok(Self(held != 0))
    }
}

impl Drop for BusNumbers {
    fn drop(&mut self) {
        if self.0 {
            // SAFETY: By the type invariant the lock is held.
            unsafe { bindings::pci_liveupdate_release_bus_numbers() };
        }
    }
}

impl Device<'_> {
    /// The bus that the device is on, to which it has a reference.
    fn bus(self) -> *mut bindings::pci_bus {
        // SAFETY: The device is valid. Its bus never changes.
        unsafe { (*self.as_raw()).bus }
    }

    /// The bridge's bus numbers, as they are in its register, be they right or wrong.
    fn bus_numbers(self) -> Option<u32> {
        let mut numbers = 0;

        // SAFETY: The device is valid, and `numbers` can be written to.
        let read = unsafe {
            bindings::pci_read_config_dword(
                self.as_raw(),
                bindings::PCI_PRIMARY_BUS as c_int,
                &mut numbers,
            )
        };

        (read == 0).then_some(numbers)
    }

    /// Whether the bridge has bus numbers, be they right or wrong.
    pub(crate) fn has_bus_numbers(self) -> bool {
        let mask = bindings::PCI_SECONDARY_BUS_MASK | bindings::PCI_SUBORDINATE_BUS_MASK;

        self.bus_numbers()
            .is_some_and(|numbers| numbers & mask != 0)
    }

    /// Whether a device at `address` is below this incoming bridge.
    pub(crate) fn leads_to(self, address: Address) -> bool {
        self.is_incoming()
            && self.address().domain == address.domain
            && self.bus_numbers().is_some_and(|numbers| {
                let [_, secondary, subordinate, _] = numbers.to_le_bytes();

                (secondary..=subordinate).contains(&address.bus())
            })
    }

    fn lost_numbers(&self) -> &Atomic<bool> {
        // SAFETY: The device has a reference to its bus. The field is only accessed like this.
        unsafe { Atomic::from_ptr(&raw mut (*self.bus()).liveupdate_lost_numbers) }
    }

    /// Whether this is a bridge that came up without bus numbers, and still has none.
    pub(crate) fn has_lost_bus_numbers(self) -> bool {
        self.is_incoming_bridge() && self.lost_numbers().load(Relaxed) && !self.has_bus_numbers()
    }

    /// Lets nothing through the bridge any more if it has lost its bus numbers, as what was at
    /// `address` may be below it.
    pub(crate) fn stop_lost_below(self, address: Address) {
        if self.has_lost_bus_numbers() && self.address().domain == address.domain {
            dev_warn!(
                self.as_dev(),
                "liveupdate: what is below it can't be found: its bus mastering is off\n"
            );
            self.clear_master();
        }
    }

    /// The bridge is removed, so if it has lost its numbers, that doesn't matter any more.
    pub(crate) fn forget_lost_bus_numbers(self) {
        // Other bridges on the bus that have lost theirs are noticed when it is scanned again.
        self.lost_numbers().store(false, Relaxed);
    }

    /// Takes note that this bridge has no valid bus numbers.
    pub(crate) fn bus_numbers_lost(self) {
        // One that was switched off meanwhile has none, but nothing below it is at work either.
        let was_removed = |records: &incoming::Records| records.lock().was_removed(self.address());
        let is_incoming =
            self.is_incoming_bridge() && !incoming::records().is_some_and(was_removed);

        if !is_incoming && !self.is_outgoing() {
            return;
        }
        dev_err!(
            self.as_dev(),
            "liveupdate: its bus numbers are lost: nothing below it is enumerated\n"
        );
        self.lost_numbers().store(true, Relaxed);
    }

    /// Whether this bridge may get new bus numbers, from `number` on.
    pub(crate) fn may_assign_bus(self, number: i32) -> bool {
        if self.lost_numbers().load(Relaxed) && (incoming::is_there() || outgoing::is_any()) {
            // This was said of the bridge already if it is the one.
            if !self.is_incoming_bridge() && !self.is_outgoing() {
                dev_err!(
                    self.as_dev(),
                    "liveupdate: gets no bus numbers: a preserved bridge on its bus lost its own\n"
                );
            }
            return false;
        }

        // SAFETY: The device has a reference to its bus, whose range only changes while its parent
        // is scanned.
        let last = unsafe { (*self.bus()).busn_res.end };

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
