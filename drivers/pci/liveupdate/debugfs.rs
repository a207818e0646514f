// SPDX-License-Identifier: GPL-2.0

//! The state of all this, in `debugfs/pci_liveupdate/`, for people to see.
//!
//! - `outgoing`: a line for each device that is preserved for the next kernel.
//! - `incoming`: a line for each device that the previous kernel preserved, until all are
//!   finished, which says why it is not, and what to do.
//! - `check`: whether all that is known fits together, for tests.
//! - `status`: the version of the format, what became of the hand-over, and numbers.

use crate::{
    abi::{
        Record,
        VERSION, //
    },
    flb::FLB,
    incoming::{
        self,
        Outcome, //
    },
    state::Device, //
};
use kernel::{
    bindings,
    debugfs::{
        Dir,
        File,
        Writer, //
    },
    fmt,
    pci,
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

/// Copies records, as what is said of their devices may take long to find out, and the records need
/// not stay for that.
fn copy(records: impl Iterator<Item = Record>) -> Result<KVVec<Record>> {
    let mut copies = KVVec::new();

    for record in records {
        copies.push(record, GFP_KERNEL)?;
    }
    Ok(copies)
}

fn write_record(
    record: &Record,
    device: Option<&pci::Device>,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    f.write_fmt(fmt!(
        "{} refcount={} driver=",
        record.address(),
        record.refcount
    ))?;
    // Who removes the device has locked it, and may be waiting for who asks for the name.
    match device.map(|device| device.try_lock()) {
        None => f.write_str("none"),
        Some(None) => f.write_str("busy"),
        Some(Some(locked)) => f.write_fmt(fmt!("{}", locked.driver_name().unwrap_or(c"none"))),
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
        let Ok(data) = FLB.outgoing() else {
            return Ok(());
        };
        let records = copy(data.lock().records());

        drop(data);
        let Ok(records) = records else {
            return f.write_str("no memory\n");
        };

        for record in &records {
            write_record(record, pci::Device::find(record.address()).as_deref(), f)?;
            f.write_str("\n")?;
        }
        Ok(())
    }
}

struct IncomingFile;

impl Writer for IncomingFile {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(records) = incoming::records() else {
            return Ok(());
        };
        let Ok(records) = copy(records.iter()) else {
            return f.write_str("no memory\n");
        };

        for record in &records {
            let address = record.address();
            let device = pci::Device::find(address);
            let device = device.as_deref().map(Device::new);
            let state = State::of(record.refcount, device);

            write_record(record, device.as_deref(), f)?;
            f.write_fmt(fmt!(
                " finished={} stopped={} state={} # {}",
                yes(record.refcount == 0),
                yes(device.is_some_and(Device::is_stopped)),
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
        crate::tests::consistency::write(f)
    }
}

struct StatusFile;

impl Writer for StatusFile {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut outgoing, mut outgoing_address, mut is_frozen) = (0, 0, false);
        let (mut unfinished, mut finished) = (0, 0);

        if let Ok(data) = FLB.outgoing() {
            let data = data.lock();

            outgoing = data.len();
            is_frozen = data.is_frozen();
            outgoing_address = data.memory().address();
        }
        for record in incoming::records()
            .into_iter()
            .flat_map(|records| records.iter())
        {
            if record.refcount == 0 {
                finished += 1;
            } else {
                unfinished += 1;
            }
        }

        f.write_fmt(fmt!("version: {VERSION}\n"))?;
        match Outcome::get() {
            Some(Outcome::Off) => f.write_fmt(fmt!("handover: off\n"))?,
            None | Some(Outcome::None) => f.write_fmt(fmt!("handover: none\n"))?,
            Some(Outcome::Foreign) => f.write_fmt(fmt!("handover: foreign\n"))?,
            Some(Outcome::Read(_)) if incoming::is_there() => {
                f.write_fmt(fmt!("handover: read\n"))?
            }
            Some(Outcome::Read(_)) => f.write_fmt(fmt!("handover: finished\n"))?,
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
        f.write_fmt(fmt!("outgoing_address: {outgoing_address:#x}\n"))
    }
}
