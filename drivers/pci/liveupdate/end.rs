// SPDX-License-Identifier: GPL-2.0

//! Incoming devices are finished: one by one, and in the end all that are left.

use crate::{
    devices,
    incoming::{
        records,
        set_lost,
        Records, //
    },
    state::Device, //
};
use kernel::{
    bindings,
    pci::{
        self,
        Address, //
    },
    prelude::*,
    sync::atomic::Relaxed, //
};

impl Device<'_> {
    /// The driver has the device back: it is an ordinary one from now on.
    ///
    /// So are the bridges above it, unless there are other incoming devices below them. It may have
    /// been removed, and found again: then it is finished for both.
    pub(crate) fn finish(self) {
        if self.is_bridge() {
            dev_warn!(
                self.as_dev(),
                "liveupdate: cannot finish: a bridge is finished with the devices below it\n"
            );
        } else if !self.try_finish() {
            dev_warn!(self.as_dev(), "liveupdate: cannot finish: not incoming\n");
        }
    }

    /// Finishes the device if it is incoming.
    pub(crate) fn try_finish(self) -> bool {
        let was_incoming = records().is_some_and(|records| records.lock().finish(self));

        // Nobody takes it over any more by what the previous kernel's IOMMU had.
        if was_incoming {
            // SAFETY: The device is valid. It is its driver's, which has attached it elsewhere, or
            // it was stopped.
            unsafe { bindings::iommu_device_drop_restored(self.as_generic()) };
        }
        was_incoming
    }

    /// Nobody is left who could take the device back.
    pub(crate) fn give_up(self) {
        dev_warn!(
            self.as_dev(),
            "liveupdate: was not taken back, and no file is left by which it could be\n"
        );
        // Whatever runs in its place by now, after it was stopped, is the driver's.
        if !self.is_stopped() {
            self.stop();
        }
        self.try_finish();
        self.inherits().store(false, Relaxed);
    }
}

/// Finishes the device at `address` for a driver that has none.
pub(crate) fn finish_at(address: Address) {
    let Some(records) = records() else {
        return;
    };

    if let Some(device) = pci::Device::find(address) {
        let device = Device::new(&device);

        if device.is_bridge() || device.try_finish() {
            return;
        }
    }

    let was_removed = {
        let changes = records.lock();

        if !changes.finish_record(address) {
            return;
        }
        changes.was_removed(address)
    };

    pr_info!("{address}: finished, and is not there\n");
    give_up(address, was_removed);
    for bridge in devices::all() {
        let bridge = Device::new(&bridge);

        if bridge.is_incoming_bridge() && bridge.leads_to(address) {
            records.lock().count_down(bridge);
        }
    }
}

/// Whether the device at `address` was handed over, and is not there.
pub(crate) fn is_absent(address: Address) -> bool {
    records().is_some_and(|records| records.has_absent(address))
}

/// Stops whatever was handed over and is not there.
///
/// Tells whether none of it can be running: it was removed, or it is not found where it was, and
/// what is not looked for below bridges without bus numbers gets through no more. One that turns up
/// later is stopped.
pub(crate) fn stop_absent() -> bool {
    let Some(records) = records() else {
        return true;
    };
    let mut are_stopped = true;

    for record in records.iter() {
        if records.has_absent(record.address()) {
            let was_removed = records.lock().was_removed(record.address());

            are_stopped &= give_up(record.address(), was_removed);
        }
    }
    are_stopped
}

impl Records {
    fn has_absent(&self, address: Address) -> bool {
        self.find(address).is_some() && pci::Device::find(address).is_none()
    }
}

/// Stops the device at `address`, which is not there. Tells whether it can't be running: it was
/// stopped if it was removed.
fn give_up(address: Address, was_removed: bool) -> bool {
    if was_removed {
        return true;
    }
    set_lost();
    for bridge in devices::all() {
        Device::new(&bridge).stop_lost_below(address);
    }

    // CAST: What is no domain number, as damaged records have, is that of no host bridge.
    //
    // SAFETY: The function accepts any address.
    let is_scanned =
        unsafe { bindings::pci_liveupdate_is_scanned(address.domain as c_int, address.bus()) };

    if !is_scanned {
        pr_warn!("{address}: not found, and its host bridge is not there yet\n");
    }
    is_scanned
}

/// No file is left, so nobody is left who could take back what is still incoming. It is stopped,
/// and ordinary from now on.
///
/// Devices may be set up and removed meanwhile. One that is set up sees that this has begun before
/// its driver can have it, or is seen here.
pub(crate) fn end() {
    let Some(records) = records() else {
        return;
    };

    records.lock().set_ended();
    for device in devices::all() {
        let device = Device::new(&device);

        if !device.is_bridge() && device.is_incoming() {
            device.give_up();
        }
    }
    stop_absent();
    records.lock().close();
    for device in devices::all() {
        Device::new(&device).let_sleep();
    }
}
