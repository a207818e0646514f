// SPDX-License-Identifier: GPL-2.0

//! What this kernel was handed: the records of the devices that the previous one preserved.

use crate::{
    device::Device,
    record::{
        Address,
        Header,
        Record,
        VERSION, //
    },
    removed,
    RECORDS, //
};
use core::convert::Infallible;
use kernel::{
    fmt,
    kho::{
        ChainError,
        Entry,
        Handle,
        Restored,
        RestoredBlockSet, //
    },
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        SetOnce, //
    },
    warn_on,
    xarray::PlainXArray, //
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

/// What became of the hand-over, for good. Not populated while nobody asked for it.
static OUTCOME: SetOnce<Outcome> = SetOnce::new();

/// What was found when the incoming data was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Live update is off.
    Off,
    /// No kernel left anything.
    None,
    /// A kernel left something, but nothing about PCI devices.
    Foreign,
    /// The records were read.
    Read,
    /// The records can't be read.
    Unreadable(Unreadable),
}

impl Outcome {
    /// What was found, or `None` when no device was set up yet.
    pub(crate) fn get() -> Option<Self> {
        OUTCOME.copy()
    }
}

/// Whether no device can be incoming: [`Device::setup`] needs not ask.
static NOTHING: Atomic<bool> = Atomic::new(false);

/// Whether a hand-over can't be read, so that any device may be doing DMA.
///
/// Then each bridge is to be treated as if it was preserved.
static UNREADABLE: Atomic<bool> = Atomic::new(false);

/// Whether there is incoming data, of which bridges can be incoming.
static THERE: Atomic<bool> = Atomic::new(false);

/// Whether devices were handed over, or may have been. Never changes back.
static KEEP_BUSES: Atomic<bool> = Atomic::new(false);

/// Whether there is incoming data.
pub(crate) fn is_there() -> bool {
    THERE.load(Relaxed)
}

/// Whether bus numbers are to stay as they are found.
#[inline]
pub(crate) fn keep_buses() -> bool {
    KEEP_BUSES.load(Relaxed)
}

/// Whether any device may be doing DMA, for all that is known.
pub(crate) fn is_unreadable() -> bool {
    UNREADABLE.load(Relaxed)
}

/// Notes that the hand-over can't be read, and says so loudly, once: devices may be doing DMA, and
/// nobody knows which.
fn unreadable(why: Unreadable) {
    UNREADABLE.store(true, Relaxed);
    KEEP_BUSES.store(true, Relaxed);
    if OUTCOME.populate(Outcome::Unreadable(why)) {
        pr_err!("the hand-over cannot be read: {why}\n");
        warn_on!(true);
    }
}

impl Device<'_> {
    /// Finds out whether a device that was just found is incoming.
    #[inline]
    pub(crate) fn setup(self) {
        if !NOTHING.load(Relaxed) {
            self.setup_slow();
        }
    }

    #[cold]
    fn setup_slow(self) {
        self.look_up();

        // Without bus numbers nothing below it can be at work.
        if is_unreadable() && self.is_bridge() && self.has_bus_numbers() {
            // SAFETY: The device is being set up, which is what this is called for.
            unsafe { self.inherit() };
        }
    }

    fn look_up(self) {
        let outcome = match RECORDS.incoming() {
            Ok(incoming) => {
                if incoming.object().is_err() {
                    // If it was there to be read, `Incoming::retrieve()` has said why it isn't.
                    unreadable(Unreadable::NoMemory);
                }
                return self.adopt(incoming);
            }
            Err(EOPNOTSUPP) => Outcome::Off,
            Err(ENODATA) => Outcome::None,
            Err(ENOENT) => Outcome::Foreign,
            Err(error) => return unreadable(Unreadable::Refused(error)),
        };

        // None of these ever changes: there is no live update, or no data, or no more data. But
        // what could not be read keeps mattering to bridges.
        NOTHING.store(!is_unreadable(), Relaxed);
        if OUTCOME.populate(outcome) && outcome == Outcome::Foreign {
            pr_info!("the previous kernel handed over no PCI devices\n");
        }
    }
}

/// The memory that the previous kernel left. It is given back when this is dropped.
struct HandOver {
    header: Restored<Header>,
    records: RestoredBlockSet<Record>,
}

impl HandOver {
    /// Takes over the memory and checks what needs no more than a look.
    ///
    /// On an error the memory stays as it is, for good.
    fn restore(handle: Handle) -> Result<Self, Unreadable> {
        let header =
            Restored::<Header>::restore(handle).map_err(|_| Unreadable::NoHeader(handle))?;

        if header.version != VERSION {
            let version = header.version;

            header.leak();
            return Err(Unreadable::Version(version));
        }

        match RestoredBlockSet::restore(header.devices()) {
            Ok(records) => Ok(Self { header, records }),
            Err(error) => {
                header.leak();
                Err(Unreadable::Chain(error))
            }
        }
    }

    /// Leaves the memory as it is, for good.
    fn leak(self) {
        self.header.leak();
        self.records.leak();
    }
}

/// The incoming data. It is there until all files are finished that it is bound to, and all
/// devices that were found to be incoming.
///
/// # Invariants
///
/// `index` has entries of `hand_over` only.
#[pin_data(PinnedDrop)]
pub(crate) struct Incoming {
    #[pin]
    index: PlainXArray<Entry<Record>>,
    /// Taken on the way out only.
    hand_over: Option<HandOver>,
    /// All of it was read. If not, the memory is not given back.
    is_complete: bool,
    /// It is what the kernel was handed, and no test.
    is_published: bool,
}

impl Incoming {
    /// Reads what was handed over, and notes what came of it.
    pub(crate) fn retrieve(handle: Handle) -> impl PinInit<Self, Error> {
        pin_init::pin_init_scope(move || {
            Ok(Self::read(handle, |why| {
                unreadable(why);
                Error::from(why)
            })
            .pin_chain(|this| {
                OUTCOME.populate(Outcome::Read);
                THERE.store(true, Relaxed);
                KEEP_BUSES.store(this.iter().next().is_some(), Relaxed);
                *this.project().is_published = true;
                Ok(())
            }))
        })
    }

    /// Reads what was handed over.
    ///
    /// If it can't be read, the memory stays as it is, for good, and `refuse` makes the error.
    pub(crate) fn read<E: From<Infallible>>(
        handle: Handle,
        refuse: fn(Unreadable) -> E,
    ) -> impl PinInit<Self, E> {
        pin_init::pin_init_scope(move || {
            let hand_over = HandOver::restore(handle).map_err(refuse)?;

            Ok(try_pin_init!(Self {
                index <- PlainXArray::new(),
                hand_over: Some(hand_over),
                is_complete: false,
                is_published: false,
            }? E)
            .pin_chain(move |this| {
                let mut this = this.project();

                if let Some(hand_over) = this.hand_over {
                    index(
                        &hand_over.header,
                        hand_over.records.iter(),
                        this.index.as_mut(),
                    )
                    .map_err(refuse)?;
                }
                *this.is_complete = true;
                Ok(())
            }))
        })
    }

    /// The record of the device at `address`, unless it was finished.
    #[inline]
    pub(crate) fn find(&self, address: Address) -> Option<&Record> {
        self.index
            .get(address.key())
            .filter(|record| record.refcount() != 0)
    }

    /// Goes through the records, finished ones included, in the order of their addresses.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Record> {
        self.index.iter().map(|(_, record)| record)
    }

    /// Where the hand-over is.
    pub(crate) fn handle(&self) -> Handle {
        self.hand_over
            .as_ref()
            .map_or(Handle::NONE, |hand_over| hand_over.header.handle())
    }
}

#[pinned_drop]
impl PinnedDrop for Incoming {
    fn drop(self: Pin<&mut Self>) {
        let this = self.project();

        if *this.is_published {
            THERE.store(false, Relaxed);
            removed::forget();
        }
        if let Some(hand_over) = this.hand_over.take() {
            if !*this.is_complete {
                hand_over.leak();
            }
        }
    }
}

/// Puts all records that are in use into an index, and checks that they make sense.
fn index<'a>(
    header: &Header,
    records: impl Iterator<Item = &'a Record>,
    mut index: Pin<&mut PlainXArray<Entry<Record>>>,
) -> Result<(), Unreadable> {
    let mut count = 0u32;

    for record in records {
        let (address, refcount) = (record.address(), record.refcount());

        if refcount == 0 {
            continue;
        }
        // A bridge is counted once for each device at or below it.
        if u32::from(refcount) > header.nr_devices {
            return Err(Unreadable::Refcount(address, refcount));
        }

        // SAFETY: The index is part of the object that owns the records, and when the records go
        // away nobody looks into the index any more.
        let entry = unsafe { Entry::new(record) };

        index
            .as_mut()
            .insert(address.key(), entry, GFP_KERNEL)
            .map_err(|refused| match refused.error {
                EBUSY => Unreadable::Twice(address),
                _ => Unreadable::NoMemory,
            })?;
        count += 1;
    }

    if count != header.nr_devices {
        return Err(Unreadable::Count {
            header: header.nr_devices,
            records: count,
        });
    }
    Ok(())
}
