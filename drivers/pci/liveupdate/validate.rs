// SPDX-License-Identifier: GPL-2.0

//! Can a hand-over be read?
//!
//! The bytes come from another kernel, of another version perhaps, or a broken one, and what they
//! say decides which devices are left alone. So all of it is checked, in one place, before any of
//! it is believed.

use crate::abi::{
    Devices,
    VERSION, //
};
use kernel::{
    fmt,
    kho,
    kho::TakenOver,
    pci::Address,
    prelude::*, //
};

/// Why a hand-over can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// There is no header, or the chain of blocks is broken, or there is no memory to read it.
    Memory(kho::Unreadable),
    /// The header is of another version of the format.
    Version(u32),
    /// The header says that there are this many devices, and there are that many.
    Count { header: u32, records: u32 },
    /// There are two records of a device.
    Twice(Address),
    /// LUO doesn't give it to us.
    Refused(Error),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(why) => why.fmt(f),
            Self::Version(version) => f.write_fmt(fmt!("version {version}, not {VERSION}")),
            Self::Count { header, records } => f.write_fmt(fmt!("{records} devices, not {header}")),
            Self::Twice(address) => f.write_fmt(fmt!("{address} twice")),
            Self::Refused(error) => f.write_fmt(fmt!("{error:?}")),
        }
    }
}

impl From<kho::Unreadable> for Unreadable {
    fn from(why: kho::Unreadable) -> Self {
        Self::Memory(why)
    }
}

impl From<Unreadable> for Error {
    fn from(error: Unreadable) -> Self {
        match error {
            Unreadable::Memory(why) => why.into(),
            Unreadable::Refused(error) => error,
            _ => EINVAL,
        }
    }
}

/// What is in a hand-over that can be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    /// How many devices have a record, bridges included.
    pub(crate) devices: u32,
    /// How many slots are free.
    pub(crate) free: u32,
}

/// Reads a hand-over, and passes the address and the reference count of each record that is in use
/// to `put`, as it comes to it.
///
/// Nothing but the version is looked at unless that is right. `put` says [`Unreadable::Twice`] if
/// it was passed the address before, and whatever is wrong with itself.
///
/// # What a hand-over guarantees that can be read
///
/// - Its version is [`VERSION`].
/// - The chain of blocks has an end. Each block is a page that the previous kernel preserved and
///   nobody else has restored, neither as the header nor as another block, and has at least one
///   entry, and no more than fit into it.
/// - As many records are in use as the header says.
/// - No two records that are in use are of the same address.
///
/// Entries with a reference count of 0 are free slots. What else is in them is not looked at.
///
/// # What it doesn't guarantee
///
/// There is nothing but the bytes to tell, so each of these is believed as far as it goes:
///
/// - A record of a domain that doesn't exist, or of a device that isn't there: nobody asks for it.
///   It stays in the list until the hand-over ends.
/// - A record of a device in whose place there is another one: that one is incoming.
/// - A record of a device that was not preserved: it is incoming until its driver finishes it, or
///   the last file is finished.
/// - A record of a virtual function: left out when the device is set up, as none is preserved.
/// - The reference count of a bridge is larger than the number of incoming devices below it, as
///   when a driver preserved it by itself: it is incoming until the hand-over ends. So it is if
///   devices don't come back.
/// - It is smaller, or the bridge was recorded as an endpoint, so that it is 1: the bridge is
///   finished with the first devices below it, and not counted down any further.
/// - A device was recorded as a bridge, with a reference count other than 1: its driver finishes it
///   all the same.
/// - A bridge above a device has no record: it is not incoming. Bus numbers stay in any case.
/// - A device that was preserved has no record, and isn't counted: it is an ordinary one.
pub(crate) fn validate(
    hand_over: &mut TakenOver<Devices>,
    mut put: impl FnMut(Address, u16) -> Result<(), Unreadable>,
) -> Result<Summary, Unreadable> {
    let header = hand_over.record();
    let (version, nr_devices) = (header.version, header.nr_devices);
    let mut summary = Summary::default();

    if version != VERSION {
        return Err(Unreadable::Version(version));
    }
    hand_over.for_each_entry(|record| {
        if record.refcount == 0 {
            summary.free += 1;
            return Ok(());
        }
        summary.devices += 1;
        put(record.address(), record.refcount)
    })?;
    if summary.devices != nr_devices {
        return Err(Unreadable::Count {
            header: nr_devices,
            records: summary.devices,
        });
    }
    Ok(summary)
}
