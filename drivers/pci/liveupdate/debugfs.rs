// SPDX-License-Identifier: GPL-2.0

//! The state of all this, in `debugfs/pci_liveupdate/`, for people to see.
//!
//! - `outgoing`: a line for each device that is preserved for the next kernel.
//! - `incoming`: a line for each device that the previous kernel preserved, until all are
//!   finished.
//! - `check`: whether all that is known fits together, for tests.
//! - `status`: the version of the format, what became of the hand-over, and numbers.

use crate::{
    device,
    incoming::{
        self,
        Outcome, //
    },
    record::{
        Address,
        Record,
        VERSION, //
    },
    RECORDS, //
};
use kernel::{
    debugfs::{
        Dir,
        File,
        Writer, //
    },
    fmt,
    kho::Handle,
    prelude::*, //
};

/// The files, which are there as long as this is.
#[pin_data]
pub(crate) struct Files {
    _dir: Dir,
    #[pin]
    outgoing: File<OutgoingFile>,
    #[pin]
    incoming: File<IncomingFile>,
    #[cfg(CONFIG_PCI_LIVEUPDATE_CHECK)]
    #[pin]
    check: File<CheckFile>,
    #[pin]
    status: File<StatusFile>,
}

impl Files {
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        pin_init::pin_init_scope(|| {
            let dir = Dir::new(c"pci_liveupdate");

            Ok(try_pin_init!(Self {
                outgoing <- dir.read_only_file(c"outgoing", OutgoingFile),
                incoming <- dir.read_only_file(c"incoming", IncomingFile),
                #[cfg(CONFIG_PCI_LIVEUPDATE_CHECK)]
                check <- dir.read_only_file(c"check", CheckFile),
                status <- dir.read_only_file(c"status", StatusFile),
                _dir: dir.clone(),
            }? Error))
        })
    }
}

/// A record as it was at one moment.
///
/// Copied, as the lock of the outgoing records must not be held when that of a device is taken.
struct Snapshot {
    address: Address,
    refcount: u16,
}

impl Snapshot {
    fn all<'a>(records: impl Iterator<Item = &'a Record>) -> Result<KVVec<Self>> {
        let mut snapshots = KVVec::new();

        for record in records {
            snapshots.push(
                Self {
                    address: record.address(),
                    refcount: record.refcount(),
                },
                GFP_KERNEL,
            )?;
        }
        Ok(snapshots)
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, refcount } = self;

        device::with_driver_name(*address, |driver| {
            f.write_fmt(fmt!("{address} refcount={refcount} driver={driver}"))
        })
    }
}

fn yes(is: bool) -> &'static str {
    if is {
        "yes"
    } else {
        "no"
    }
}

struct OutgoingFile;

impl Writer for OutgoingFile {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(outgoing) = RECORDS.outgoing() else {
            return Ok(());
        };
        let snapshots = Snapshot::all(outgoing.lock().iter());

        // Asking for the names of drivers below may take long. The data need not stay for that.
        drop(outgoing);
        let Ok(snapshots) = snapshots else {
            return f.write_str("no memory\n");
        };

        for snapshot in &snapshots {
            f.write_fmt(fmt!("{snapshot}\n"))?;
        }
        Ok(())
    }
}

struct IncomingFile;

impl Writer for IncomingFile {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(incoming) = RECORDS.incoming() else {
            return Ok(());
        };
        let Ok(records) = incoming.object() else {
            return Ok(());
        };
        let Ok(snapshots) = Snapshot::all(records.iter()) else {
            return f.write_str("no memory\n");
        };

        for snapshot in &snapshots {
            let finished = yes(snapshot.refcount == 0);

            f.write_fmt(fmt!("{snapshot} finished={finished}\n"))?;
        }
        Ok(())
    }
}

#[cfg(CONFIG_PCI_LIVEUPDATE_CHECK)]
struct CheckFile;

#[cfg(CONFIG_PCI_LIVEUPDATE_CHECK)]
impl Writer for CheckFile {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::consistency::write(f)
    }
}

struct StatusFile;

impl Writer for StatusFile {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut outgoing, mut outgoing_address) = (0, Handle::NONE);
        let (mut unfinished, mut finished, mut incoming_address) = (0, 0, Handle::NONE);
        let (mut is_there, mut is_frozen) = (false, false);

        if let Ok(data) = RECORDS.outgoing() {
            let slots = data.lock();

            outgoing = slots.len();
            is_frozen = slots.is_frozen();
            outgoing_address = data.handle();
        }

        if let Ok(data) = RECORDS.incoming() {
            is_there = true;
            if let Ok(records) = data.object() {
                incoming_address = records.handle();
                for record in records.iter() {
                    if record.refcount() == 0 {
                        finished += 1;
                    } else {
                        unfinished += 1;
                    }
                }
            }
        }

        f.write_fmt(fmt!("version: {VERSION}\n"))?;
        match Outcome::get() {
            Some(Outcome::Off) => f.write_fmt(fmt!("handover: off\n"))?,
            None | Some(Outcome::None) => f.write_fmt(fmt!("handover: none\n"))?,
            Some(Outcome::Foreign) => f.write_fmt(fmt!("handover: foreign\n"))?,
            Some(Outcome::Read) if is_there => f.write_fmt(fmt!("handover: read\n"))?,
            Some(Outcome::Read) => f.write_fmt(fmt!("handover: finished\n"))?,
            Some(Outcome::Unreadable(why)) => {
                f.write_fmt(fmt!("handover: unreadable ({why})\n"))?
            }
        }
        f.write_fmt(fmt!("incoming: {unfinished}\n"))?;
        f.write_fmt(fmt!("finished: {finished}\n"))?;
        f.write_fmt(fmt!("outgoing: {outgoing}\n"))?;
        f.write_fmt(fmt!("frozen: {}\n", yes(is_frozen)))?;
        f.write_fmt(fmt!("keep_buses: {}\n", yes(incoming::keep_buses())))?;
        f.write_fmt(fmt!("keep_bridges: {}\n", yes(incoming::is_unreadable())))?;
        f.write_fmt(fmt!("incoming_address: {incoming_address}\n"))?;
        f.write_fmt(fmt!("outgoing_address: {outgoing_address}\n"))
    }
}
