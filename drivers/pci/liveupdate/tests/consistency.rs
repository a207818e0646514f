// SPDX-License-Identifier: GPL-2.0

//! Does all that is known about devices fit together?
//!
//! What a kernel hands over is in two places: in a list, and in the devices that say that they are
//! on it. So is what it was handed. This compares the two, for tests, in `debugfs`.

use super::rescan::RescanLock;
use crate::{
    flb::FLB,
    incoming::{
        self,
        Records, //
    },
    outgoing::Outgoing,
    state::Device, //
};
use kernel::{
    fmt,
    prelude::*, //
};

/// Takes down what is wrong.
pub(super) struct Report<'a, 'b> {
    to: Option<&'a mut fmt::Formatter<'b>>,
    problems: usize,
}

impl<'a, 'b> Report<'a, 'b> {
    /// A report that counts problems, and writes them if it is told where to.
    pub(super) fn new(to: Option<&'a mut fmt::Formatter<'b>>) -> Self {
        Self { to, problems: 0 }
    }

    /// How many problems there are.
    pub(super) fn problems(&self) -> usize {
        self.problems
    }

    fn expect(&mut self, is_right: bool, otherwise: fmt::Arguments<'_>) {
        if is_right {
            return;
        }
        self.problems += 1;
        if let Some(to) = &mut self.to {
            // What does not fit is written again by debugfs, into more room.
            let _ = to.write_fmt(otherwise);
            let _ = to.write_str("\n");
        }
    }
}

/// Writes a line for each thing that is wrong, or `ok`.
///
/// No device is set up or removed meanwhile, and each side is compared while it is locked, so the
/// answer is exact whatever else is going on, as long as there is anything. If there is nothing, it
/// may begin meanwhile. So what is wrong has to be so twice in a row.
///
/// Context: May sleep. Takes the PCI core's `pci_rescan_remove_lock`.
pub(crate) fn write(f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut passing = Report::new(None);

    check(&mut passing);
    if passing.problems() == 0 {
        return f.write_str("ok\n");
    }

    let mut report = Report::new(Some(f));

    check(&mut report);
    if report.problems() == 0 {
        return f.write_str("ok\n");
    }
    Ok(())
}

fn check(report: &mut Report<'_, '_>) {
    let rescan = RescanLock::lock();

    match FLB.outgoing() {
        Ok(data) => {
            let outgoing = data.lock();

            outgoing.check(&rescan, report);
            report.expect(
                outgoing.memory().capacity() >= outgoing.len(),
                fmt!(
                    "outgoing: {} devices, and room for {}",
                    outgoing.len(),
                    outgoing.memory().capacity()
                ),
            );
        }
        Err(_) => {
            for device in rescan.devices() {
                let device = Device::new(&device);

                report.expect(
                    !device.is_outgoing(),
                    fmt!("outgoing: {} is, and nothing is", device.address()),
                );
            }
        }
    }

    match incoming::records() {
        Some(records) if incoming::is_there() => {
            let _changes = records.lock();

            for device in rescan.devices() {
                records.check_device(Device::new(&device), report);
            }
            records.check_bridges(&rescan, report);
        }
        closed => {
            let is_none_removed = |records: &Records| records.lock().is_none_removed();

            report.expect(
                closed.is_none_or(is_none_removed),
                fmt!("incoming: there are no records, but devices that may come back"),
            );
            for device in rescan.devices() {
                let device = Device::new(&device);

                report.expect(
                    !device.is_incoming(),
                    fmt!(
                        "incoming: {} is, and there are no records",
                        device.address()
                    ),
                );
            }
        }
    }
}

impl Outgoing {
    /// Compares the list with what devices say, and counts those below bridges.
    pub(super) fn check(&self, rescan: &RescanLock, report: &mut Report<'_, '_>) {
        let len = self.iter().count();

        report.expect(
            self.len() == len,
            fmt!("outgoing: there are {len} devices, not {}", self.len()),
        );
        for (device, refcount) in self.iter() {
            let (address, expected) = (device.address(), self.count_below(device));

            report.expect(
                device.is_outgoing(),
                fmt!("outgoing: {address} does not know that it is"),
            );
            report.expect(
                usize::from(refcount) == expected,
                fmt!(
                    "outgoing: {address} has a reference count of {refcount}, \
                     and should have {expected}"
                ),
            );
        }
        for device in rescan.devices() {
            let device = Device::new(&device);

            report.expect(
                !device.is_outgoing() || self.iter().any(|(other, _)| other.is(&device)),
                fmt!("outgoing: {} is, and nobody knows", device.address()),
            );
        }
    }

    /// How many of the devices are at or below one, bridges not counted.
    fn count_below(&self, device: Device<'_>) -> usize {
        self.iter()
            .filter(|(other, _)| !other.is_bridge() && other.path().any(|above| above.is(&device)))
            .count()
    }
}

impl Records {
    /// Compares what a device says with its record.
    fn check_device(&self, device: Device<'_>, report: &mut Report<'_, '_>) {
        let is_recorded = self.find(device.address()).is_some() && !device.is_virtual_function();

        report.expect(
            device.is_incoming() == is_recorded,
            fmt!(
                "incoming: {} says {}, and its record {is_recorded}",
                device.address(),
                device.is_incoming()
            ),
        );
    }

    /// Compares the reference counts of records with the devices that are there.
    ///
    /// Devices that are not there are counted in bridges, too. What a wrong hand-over says about
    /// bridges is not known to be wrong until this.
    fn check_bridges(&self, rescan: &RescanLock, report: &mut Report<'_, '_>) {
        for device in rescan.devices() {
            let device = Device::new(&device);
            let Some(refcount) = device.incoming() else {
                continue;
            };
            let address = device.address();

            if !device.is_bridge() {
                report.expect(
                    refcount == 1,
                    fmt!("incoming: {address} has a reference count of {refcount}"),
                );
                continue;
            }

            let is_below = |other: Device<'_>| {
                !other.is_bridge()
                    && other.is_incoming()
                    && other.path().any(|above| above.is(&device))
            };
            let below = rescan
                .devices()
                .filter(|other| is_below(Device::new(other)))
                .count();

            report.expect(
                usize::from(refcount) >= below,
                fmt!(
                    "incoming: {address} has a reference count of {refcount}, \
                     and {below} devices below it"
                ),
            );
        }
    }
}
