// SPDX-License-Identifier: GPL-2.0

//! Does all that is known about devices fit together?
//!
//! What a kernel hands over is in two places: in the records, and in the devices that point to
//! them. So is what it was handed. This compares the two, for tests, in `debugfs`.

use crate::{
    device::Device,
    incoming::{
        self,
        Incoming, //
    },
    outgoing::Slots,
    record::{
        Record,
        VERSION, //
    },
    removed,
    rescan::RescanLock,
    RECORDS, //
};
use core::ptr;
use kernel::{
    fmt,
    kho::{
        BlockSet,
        Entry, //
    },
    prelude::*,
    xarray::PlainXArray, //
};

/// Takes down what is wrong.
pub(crate) struct Report<'a, 'b> {
    to: Option<&'a mut fmt::Formatter<'b>>,
    problems: usize,
}

impl<'a, 'b> Report<'a, 'b> {
    /// A report that counts problems, and writes them if it is told where to.
    pub(crate) fn new(to: Option<&'a mut fmt::Formatter<'b>>) -> Self {
        Self { to, problems: 0 }
    }

    /// How many problems there are.
    pub(crate) fn problems(&self) -> usize {
        self.problems
    }

    fn problem(&mut self, what: fmt::Arguments<'_>) {
        self.problems += 1;
        if let Some(to) = &mut self.to {
            // What does not fit is written again by debugfs, into more room.
            let _ = to.write_fmt(what);
            let _ = to.write_str("\n");
        }
    }

    fn expect(&mut self, is_right: bool, otherwise: fmt::Arguments<'_>) {
        if !is_right {
            self.problem(otherwise);
        }
    }
}

/// Writes a line for each thing that is wrong, or `ok`.
///
/// No device is set up or removed meanwhile, and each side is compared with its records locked, so
/// the answer is exact whatever else is going on, as long as there are records. If there are none,
/// the first ones may be made meanwhile. So what is wrong has to be so twice in a row.
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

    match RECORDS.outgoing() {
        Ok(outgoing) => {
            let slots = outgoing.lock();

            slots.check_slots(report);
            slots.check_devices(report);
            report.expect(
                slots.parts().header.handle() == outgoing.handle(),
                fmt!("outgoing: the header is not where it is handed over"),
            );
            for device in rescan.devices() {
                slots.check_device(Device::new(&device), report);
            }
        }
        Err(_) => {
            for device in rescan.devices() {
                let device = Device::new(&device);

                report.expect(
                    !device.is_outgoing(),
                    fmt!(
                        "outgoing: {} has a record, and there are none",
                        device.address()
                    ),
                );
            }
        }
    }

    let incoming = RECORDS.incoming();

    match incoming.as_ref().map(|incoming| incoming.object()) {
        Ok(Ok(records)) if incoming::is_there() => {
            let _changes = records.lock();

            for device in rescan.devices() {
                records.check_device(Device::new(&device), report);
            }
            records.check_bridges(&rescan, report);
        }
        _ => {
            report.expect(
                !incoming::is_there(),
                fmt!("incoming: there are no records, and nobody knows"),
            );
            report.expect(
                removed::is_empty(),
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

impl Slots {
    /// Compares header, slots, and the list of free slots.
    pub(crate) fn check_slots(&self, report: &mut Report<'_, '_>) {
        let parts = self.parts();
        let (header, blocks, free) = (parts.header, parts.blocks, parts.free);
        let used = self.iter().count();

        report.expect(
            header.version == VERSION,
            fmt!("outgoing: the header has version {}", header.version),
        );
        report.expect(
            header.nr_devices as usize == used,
            fmt!(
                "outgoing: the header has {} devices, but {used} slots are in use",
                header.nr_devices
            ),
        );
        report.expect(
            header.devices() == blocks.handle(),
            fmt!("outgoing: the header does not lead to the blocks"),
        );
        report.expect(
            free.len() + used == blocks.len(),
            fmt!(
                "outgoing: of {} slots {used} are in use and {} free",
                blocks.len(),
                free.len()
            ),
        );
        report.expect(
            free.capacity() >= blocks.capacity(),
            fmt!(
                "outgoing: there are {} slots, and room for {} free ones",
                blocks.capacity(),
                free.capacity()
            ),
        );
        // The next kernel refuses a block without entry.
        report.expect(
            blocks.capacity() - blocks.len() < BlockSet::<Record>::PER_BLOCK,
            fmt!("outgoing: the last block has no entry"),
        );

        if self.check_free(report).is_err() {
            report.problem(fmt!("no memory"));
        }
    }

    fn check_free(&self, report: &mut Report<'_, '_>) -> Result {
        let parts = self.parts();
        let key = |slot: &Record| ptr::from_ref(slot).addr() / size_of::<Record>();
        let mut known = KBox::pin_init(PlainXArray::<Entry<Record>>::new(), GFP_KERNEL)?;

        for slot in parts.free {
            match known.as_mut().insert(key(slot), *slot, GFP_KERNEL) {
                Ok(()) => {}
                Err(refused) if refused.error == EBUSY => {
                    report.problem(fmt!("outgoing: a slot is free twice"));
                }
                Err(refused) => return Err(refused.error),
            }
        }

        let mut met = 0;

        for slot in parts.blocks.iter() {
            if known.get(key(slot)).is_some() {
                met += 1;
                report.expect(
                    slot.is_clear(),
                    fmt!(
                        "outgoing: the free slot of {} is not zeroed",
                        slot.address()
                    ),
                );
            } else {
                report.expect(
                    slot.refcount() != 0,
                    fmt!("outgoing: a slot is neither in use nor free"),
                );
            }
        }
        report.expect(
            met == parts.free.len(),
            fmt!(
                "outgoing: of {} free slots {met} are in the blocks",
                parts.free.len()
            ),
        );
        Ok(())
    }

    /// Compares slots and the list of devices: each has one of the other.
    pub(crate) fn check_devices(&self, report: &mut Report<'_, '_>) {
        for slot in self.iter() {
            let address = slot.address();

            match self.device(address) {
                Some(device) => report.expect(
                    device.points_out_to(slot),
                    fmt!("outgoing: {address} does not point to its record"),
                ),
                None => report.problem(fmt!("outgoing: the record of {address} has no device")),
            }
        }

        let devices = self.devices().count();

        report.expect(
            devices == self.len() as usize,
            fmt!("outgoing: {devices} devices have {} records", self.len()),
        );

        for slot in self.iter() {
            let Some(device) = self.device(slot.address()) else {
                continue;
            };
            let expected = self.count_below(device);

            report.expect(
                usize::from(slot.refcount()) == expected,
                fmt!(
                    "outgoing: {} has a reference count of {}, and should have {expected}",
                    slot.address(),
                    slot.refcount()
                ),
            );
        }
    }

    /// How many of the devices are at or below one, bridges not counted.
    fn count_below(&self, device: Device<'_>) -> usize {
        if !device.is_bridge() {
            return 1;
        }
        self.devices()
            .filter(|other| !other.is_bridge() && other.path().any(|above| above.is(device)))
            .count()
    }

    /// If the device says that it is outgoing, it is one of the devices.
    pub(crate) fn check_device(&self, device: Device<'_>, report: &mut Report<'_, '_>) {
        if !device.is_outgoing() {
            return;
        }

        let address = device.address();
        let is_known = self.device(address).is_some_and(|other| other.is(device));

        report.expect(
            is_known,
            fmt!("outgoing: {address} has a record, and nobody knows"),
        );
    }
}

impl Incoming {
    /// Compares what a device says with its record.
    fn check_device(&self, device: Device<'_>, report: &mut Report<'_, '_>) {
        let address = device.address();

        if device.is_virtual_function() {
            report.expect(
                !device.is_incoming(),
                fmt!("incoming: {address} is, and should not be"),
            );
            return;
        }

        match self.find(address) {
            Some(record) => report.expect(
                device.points_in_to(record),
                fmt!("incoming: {address} does not point to its record"),
            ),
            None => report.expect(
                !device.is_incoming(),
                fmt!("incoming: {address} is, and has no record, or is finished"),
            ),
        }
    }

    /// Compares the reference counts of records with the devices that are there.
    ///
    /// Devices that are not there are counted in bridges, too. What a wrong hand-over says about
    /// bridges is not known to be wrong until this.
    fn check_bridges(&self, rescan: &RescanLock, report: &mut Report<'_, '_>) {
        for device in rescan.devices() {
            let device = Device::new(&device);

            if !device.is_incoming() {
                continue;
            }

            let address = device.address();
            let refcount = self.find(address).map_or(0, Record::refcount);

            if !device.is_bridge() {
                report.expect(
                    refcount == 1,
                    fmt!("incoming: {address} has a reference count of {refcount}"),
                );
                continue;
            }

            let below = rescan
                .devices()
                .filter(|other| {
                    let other = Device::new(other);

                    !other.is_bridge()
                        && other.is_incoming()
                        && other.path().any(|above| above.is(device))
                })
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
