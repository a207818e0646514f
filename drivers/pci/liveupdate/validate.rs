// SPDX-License-Identifier: GPL-2.0

//! Can a hand-over be read?
//!
//! The bytes come from another kernel, of another version perhaps, or a broken one, and what they
//! say decides which devices are left alone. So all of it is checked, in one place, before any of
//! it is believed.

use crate::record::{
    Address,
    Header,
    Record,
    VERSION, //
};
use core::convert::Infallible;
use kernel::{
    fmt,
    kho::{
        ChainError,
        Handle, //
    },
    prelude::*, //
};

/// Why a hand-over can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// Nothing was preserved where the header should be.
    NoHeader(Handle),
    /// The header is of another version of the format.
    Version(u32),
    /// The chain of blocks is broken.
    Chain(ChainError),
    /// The header says that there are this many devices, and there are that many.
    Count { header: u32, records: u32 },
    /// The reference count of a device is larger than the number of devices.
    Refcount(Address, u16),
    /// There are two records of a device.
    Twice(Address),
    /// There is no memory to read it.
    NoMemory,
    /// LUO doesn't give it to us.
    Refused(Error),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHeader(handle) => f.write_fmt(fmt!("nothing was preserved at {handle}")),
            Self::Version(version) => f.write_fmt(fmt!("version {version}, not {VERSION}")),
            Self::Chain(error) => error.fmt(f),
            Self::Count { header, records } => f.write_fmt(fmt!("{records} devices, not {header}")),
            Self::Refcount(address, refcount) => {
                f.write_fmt(fmt!("{address} with a reference count of {refcount}"))
            }
            Self::Twice(address) => f.write_fmt(fmt!("{address} twice")),
            Self::NoMemory => f.write_fmt(fmt!("no memory")),
            Self::Refused(error) => f.write_fmt(fmt!("{error:?}")),
        }
    }
}

impl From<Infallible> for Unreadable {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl From<Unreadable> for Error {
    fn from(error: Unreadable) -> Self {
        match error {
            Unreadable::NoMemory => ENOMEM,
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

/// Checks a hand-over, and passes each record that is in use to `put`, once, as it comes to it.
///
/// `blocks` gives the entries of each block, in the order of the chain, and at last, if the chain
/// is broken, what is wrong with it. It isn't asked for any unless the version is right. `put` says
/// [`Unreadable::Twice`] if it was passed a record of that address before, and whatever is wrong
/// with itself. Apart from what these two do, nothing is changed, kept or allocated.
///
/// # What a hand-over guarantees that can be read
///
/// - Its version is [`VERSION`].
/// - The chain of blocks has an end. Each block is a page that the previous kernel preserved and
///   nobody else has restored, neither as the header nor as another block, and has between 1 and
///   [`PER_BLOCK`](kernel::kho::BlockSet::PER_BLOCK) entries.
/// - As many records are in use as the header says.
/// - No two records that are in use are of the same address.
/// - The reference count of each is at least 1, and at most the number of records.
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
/// - The reference count of a bridge is larger than the number of incoming devices below it: it is
///   incoming until the hand-over ends. So it is if devices don't come back.
/// - It is smaller, or the bridge was recorded as an endpoint, so that it is 1: the bridge is
///   finished with the first devices below it, and not counted down any further.
/// - A device was recorded as a bridge, with a reference count other than 1: its driver finishes it
///   all the same.
/// - A bridge above a device has no record: it is not incoming. Bus numbers stay in any case.
/// - A device that was preserved has no record, and isn't counted: it is an ordinary one.
pub(crate) fn validate<'a>(
    header: &Header,
    blocks: impl IntoIterator<Item = Result<&'a [Record], ChainError>>,
    mut put: impl FnMut(Address, &'a Record) -> Result<(), Unreadable>,
) -> Result<Summary, Unreadable> {
    if header.version != VERSION {
        return Err(Unreadable::Version(header.version));
    }

    let mut summary = Summary::default();

    for records in blocks {
        for record in records.map_err(Unreadable::Chain)? {
            let refcount = record.refcount();

            if refcount == 0 {
                summary.free += 1;
                continue;
            }

            let address = record.address();

            // A bridge is counted once for each device at or below it.
            if u32::from(refcount) > header.nr_devices {
                return Err(Unreadable::Refcount(address, refcount));
            }
            put(address, record)?;
            summary.devices += 1;
        }
    }

    if summary.devices != header.nr_devices {
        return Err(Unreadable::Count {
            header: header.nr_devices,
            records: summary.devices,
        });
    }
    Ok(summary)
}
