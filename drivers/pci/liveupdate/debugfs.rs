// SPDX-License-Identifier: GPL-2.0

//! The state of all this, in `debugfs/pci_liveupdate/`, for people to see.
//!
//! - `outgoing`: a line for each device that is preserved for the next kernel.
//! - `incoming`: a line for each device that the previous kernel preserved, until all are
//!   finished, which says why it is not, and what to do.
//! - `check`: whether all that is known fits together, for tests.
//! - `status`: the version of the format, what became of the hand-over, and numbers.

use crate::{
    device::{
        self,
        Device, //
    },
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
    bindings,
    debugfs::{
        Dir,
        File,
        Writer, //
    },
    fmt,
    kho::Handle,
    pci,
    prelude::*,
    sync::aref::ARef, //
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
/// Copied, as what is said of its device may take long to find out, and the records need not stay
/// for that.
#[derive(Clone, Copy)]
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

    fn write(self, device: Option<&ARef<pci::Device>>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, refcount } = self;

        f.write_fmt(fmt!("{address} refcount={refcount} driver="))?;
        match device {
            Some(device) => {
                Device::new(device).with_driver_name(|name| f.write_fmt(fmt!("{name}")))
            }
            None => f.write_str("none"),
        }
    }
}

/// Why an incoming device is incoming still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It isn't.
    Finished,
    /// It is not there.
    Absent,
    /// It is a bridge.
    Bridge,
    /// This is how far its user has come.
    User(u8),
}

impl State {
    fn of(refcount: u16, device: Option<Device<'_>>) -> Self {
        match device {
            _ if refcount == 0 => Self::Finished,
            None => Self::Absent,
            Some(device) if device.is_bridge() => Self::Bridge,
            Some(device) => Self::User(device.user()),
        }
    }

    /// In one word, for scripts.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Absent => "absent",
            Self::Bridge => "bridge",
            Self::User(user) => match user.into() {
                bindings::pci_liveupdate_user_PCI_LIVEUPDATE_RETRIEVED => "retrieved",
                bindings::pci_liveupdate_user_PCI_LIVEUPDATE_TAKEN_OVER => "taken-over",
                bindings::pci_liveupdate_user_PCI_LIVEUPDATE_CLOSED => "closed",
                _ => "waiting",
            },
        }
    }

    /// What it needs to be finished, for people.
    pub(crate) fn advice(self) -> &'static str {
        match self {
            Self::Finished => "nothing to do",
            Self::Absent => "it is not there: finish its session",
            Self::Bridge => "it is finished with the last device below it",
            Self::User(user) => match user.into() {
                bindings::pci_liveupdate_user_PCI_LIVEUPDATE_RETRIEVED => {
                    "its file was retrieved: use it, and finish its session"
                }
                bindings::pci_liveupdate_user_PCI_LIVEUPDATE_TAKEN_OVER => {
                    "it is in use again: finish its session"
                }
                bindings::pci_liveupdate_user_PCI_LIVEUPDATE_CLOSED => {
                    "its user has gone, and it was stopped: finish its session"
                }
                _ => "nobody has it back yet: retrieve its file, use it, and finish its session",
            },
        }
    }

    /// Whether the device can be given up, and then its session be finished.
    fn can_be_removed(self) -> bool {
        matches!(self, Self::User(_))
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

        drop(outgoing);
        let Ok(snapshots) = snapshots else {
            return f.write_str("no memory\n");
        };

        for snapshot in &snapshots {
            snapshot.write(device::at(snapshot.address).as_ref(), f)?;
            f.write_str("\n")?;
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

        if !incoming::is_there() {
            return Ok(());
        }

        let snapshots = Snapshot::all(records.iter());

        drop(incoming);
        let Ok(snapshots) = snapshots else {
            return f.write_str("no memory\n");
        };

        for snapshot in &snapshots {
            let address = snapshot.address;
            let device = device::at(address);
            let state = State::of(snapshot.refcount, device.as_deref().map(Device::new));

            snapshot.write(device.as_ref(), f)?;
            f.write_fmt(fmt!(
                " finished={} stopped={} state={} # {}",
                yes(snapshot.refcount == 0),
                yes(device.is_some_and(|device| Device::new(&device).is_stopped())),
                state.name(),
                state.advice()
            ))?;
            if state.can_be_removed() {
                f.write_fmt(fmt!(
                    "; or give it up: echo 1 >/sys/bus/pci/devices/{address}/remove, \
                     then finish its session"
                ))?;
            }
            f.write_str("\n")?;
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

        if let (Ok(data), true) = (RECORDS.incoming(), incoming::is_there()) {
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
