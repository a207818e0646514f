// SPDX-License-Identifier: GPL-2.0

//! What this kernel was handed: the records of the devices that the previous one preserved.

use crate::{
    device::{
        self,
        Device, //
    },
    devices,
    record::{
        Address,
        Header,
        Record, //
    },
    removed,
    validate::{
        validate,
        Summary,
        Unreadable, //
    },
    RECORDS, //
};
use core::convert::Infallible;
use kernel::{
    kho::{
        Entry,
        Handle,
        Restored,
        RestoredBlockSet, //
    },
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        lock::{
            mutex::MutexBackend,
            Guard, //
        },
        rcu,
        Mutex,
        SetOnce, //
    },
    warn_on,
    xarray::PlainXArray, //
};

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

/// Whether a device that is found to be a bus master is stopped, as it may be one that nobody gets
/// back. Never changes back.
static STOP_FOUND: Atomic<bool> = Atomic::new(false);

/// Whether there is incoming data, of which bridges can be incoming.
static THERE: Atomic<bool> = Atomic::new(false);

/// Whether no file is left by which a device could be taken back. Never changes back.
static ENDED: Atomic<bool> = Atomic::new(false);

/// Whether devices were handed over, or may have been. Never changes back.
static KEEP_BUSES: Atomic<bool> = Atomic::new(false);

/// Whether there is incoming data.
pub(crate) fn is_there() -> bool {
    THERE.load(Relaxed)
}

/// Whether nobody is left who could take a device back.
#[inline]
pub(crate) fn has_ended() -> bool {
    ENDED.load(Relaxed)
}

/// Whether bus numbers are to stay as they are found, as devices were handed over.
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
    STOP_FOUND.store(true, Relaxed);
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
    pub(crate) fn setup_slow(self) {
        self.look_up();

        if !self.is_bridge() {
            if STOP_FOUND.load(Relaxed) {
                self.stop_found();
            }
        } else if is_unreadable() && self.has_bus_numbers() {
            // Without bus numbers nothing below it can be at work.
            //
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
        // what could not be read keeps mattering.
        NOTHING.store(!STOP_FOUND.load(Relaxed), Relaxed);
        if OUTCOME.populate(outcome) && outcome == Outcome::Foreign {
            pr_info!("the previous kernel handed over no PCI devices\n");
        }
    }
}

/// The memory that the previous kernel left, all of which was read. It is given back when this is
/// dropped.
struct HandOver {
    header: Restored<Header>,
    /// Not looked into: the index knows where each record is.
    _records: RestoredBlockSet<Record>,
}

impl HandOver {
    /// Takes over the memory, and puts all records that are in use into `index`.
    ///
    /// On an error the memory stays as it is, for good.
    fn read(
        handle: Handle,
        mut index: Pin<&mut PlainXArray<Entry<Record>>>,
    ) -> Result<(Self, Summary), Unreadable> {
        let header =
            Restored::<Header>::restore(handle).map_err(|_| Unreadable::NoHeader(handle))?;
        let mut records = RestoredBlockSet::empty();
        let blocks = records.restore_blocks(header.devices());

        let read = validate(&header, blocks, |address, record| {
            // SAFETY: The index is part of the object that owns the records. When they go away,
            // or are left alone for good, nobody looks into it any more.
            let entry = unsafe { Entry::new(record) };

            index
                .as_mut()
                .insert(address.key(), entry, GFP_KERNEL)
                .map_err(|refused| match refused.error {
                    EBUSY => Unreadable::Twice(address),
                    _ => Unreadable::NoMemory,
                })
        });

        match read {
            Ok(summary) => {
                let hand_over = Self {
                    header,
                    _records: records,
                };

                Ok((hand_over, summary))
            }
            Err(why) => {
                header.leak();
                records.leak();
                Err(why)
            }
        }
    }
}

/// The incoming data. It is there until all files are finished that it is bound to.
///
/// # Invariants
///
/// `index` has entries of `hand_over` only.
#[pin_data(PinnedDrop)]
pub(crate) struct Incoming {
    #[pin]
    index: PlainXArray<Entry<Record>>,
    /// Held while reference counts change together with what devices say.
    #[pin]
    changes: Mutex<()>,
    /// There unless reading it has failed.
    hand_over: Option<HandOver>,
    summary: Summary,
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
                KEEP_BUSES.store(this.summary.devices != 0, Relaxed);
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
        try_pin_init!(Self {
            index <- PlainXArray::new(),
            changes <- new_mutex!((), "pci_liveupdate_incoming"),
            hand_over: None,
            summary: Summary::default(),
            is_published: false,
        }? E)
        .pin_chain(move |this| {
            let this = this.project();
            let (hand_over, summary) = HandOver::read(handle, this.index).map_err(refuse)?;

            *this.hand_over = Some(hand_over);
            *this.summary = summary;
            Ok(())
        })
    }

    /// What was found.
    #[cfg(CONFIG_PCI_LIVEUPDATE_KUNIT_TEST)]
    pub(crate) fn summary(&self) -> Summary {
        self.summary
    }

    /// The record of the device at `address`, unless it was finished.
    #[inline]
    pub(crate) fn find(&self, address: Address) -> Option<&Record> {
        self.index
            .get(address.key())
            .filter(|record| record.refcount() != 0)
    }

    /// Locks what is known of incoming devices: while a device is finished, or found, neither its
    /// record nor those of the bridges above it change, and it does not become another one.
    ///
    /// For the order of locks see the top of the crate.
    pub(crate) fn lock(&self) -> Changes<'_> {
        Changes {
            records: self,
            _guard: self.changes.lock(),
        }
    }

    /// Goes through the records, finished ones included, in the order of their addresses.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Record> {
        self.index.iter().map(|(_, record)| record)
    }

    /// No file is left, so nobody is left who could take back what is still incoming. It is
    /// stopped, and ordinary from now on.
    ///
    /// Devices may be set up and removed meanwhile. One that is set up sees that this has begun
    /// before its driver can have it, or is seen here.
    pub(crate) fn end(&self) {
        {
            let _changes = self.lock();

            ENDED.store(true, Relaxed);
        }
        for device in devices::all() {
            Device::new(&device).end();
        }
        self.stop_absent();
        self.lock().finish_all();
        for device in devices::all() {
            Device::new(&device).let_sleep();
        }
        self.close();
    }

    /// From now on no device is incoming, and what it was is forgotten.
    fn close(&self) {
        if self.is_published {
            THERE.store(false, Relaxed);
            removed::forget();
        }
    }

    /// Finishes the device at `address` for a driver that has none.
    pub(crate) fn finish_at(&self, address: Address) {
        if let Some(device) = device::at(address) {
            let device = Device::new(&device);

            if device.is_bridge() || self.lock().finish(device) {
                return;
            }
        }
        self.finish_absent(address);
    }

    /// Finishes the device at `address`, which is not there.
    pub(crate) fn finish_absent(&self, address: Address) {
        let changes = self.lock();
        let Some(record) = changes.find(address) else {
            return;
        };

        record.set_refcount(0);
        pr_info!("{address}: finished, and is not there\n");
        self.give_up(address);
        for bridge in devices::all() {
            let bridge = Device::new(&bridge);

            if bridge.is_incoming_bridge() && bridge.leads_to(address) {
                changes.count_down_bridge(bridge);
            }
        }
    }

    /// Whether the device at `address` was handed over, and is not there.
    pub(crate) fn is_absent(&self, address: Address) -> bool {
        self.find(address).is_some() && device::at(address).is_none()
    }

    /// Stops whatever was handed over and is not there.
    ///
    /// Tells whether none of it can be running: it was removed, or it is not found where it was,
    /// and what is not looked for below bridges without bus numbers gets through no more. One that
    /// turns up later is stopped.
    pub(crate) fn stop_absent(&self) -> bool {
        let mut are_stopped = true;

        for record in self.iter() {
            let address = record.address();

            if self.is_absent(address) {
                are_stopped &= self.give_up(address);
            }
        }
        are_stopped
    }

    /// Stops the device at `address`, which is not there. Tells whether it can't be running.
    fn give_up(&self, address: Address) -> bool {
        // Tests are of addresses where nothing is.
        if removed::was(address) || !self.is_published {
            return true;
        }
        STOP_FOUND.store(true, Relaxed);
        for bridge in devices::all() {
            Device::new(&bridge).stop_lost_below(address);
        }
        if !address.is_scanned() {
            pr_warn!("{address}: not found, and its host bridge is not there yet\n");
            return false;
        }
        true
    }

    /// Where the hand-over is.
    pub(crate) fn handle(&self) -> Handle {
        self.hand_over
            .as_ref()
            .map_or(Handle::NONE, |hand_over| hand_over.header.handle())
    }
}

/// The incoming data, locked: nobody else makes devices incoming, or finishes them.
///
/// Outside of tests, records change by way of this and not otherwise.
pub(crate) struct Changes<'a> {
    records: &'a Incoming,
    _guard: Guard<'a, (), MutexBackend>,
}

impl Changes<'_> {
    /// The record of the device at `address`, unless it was finished.
    pub(crate) fn find(&self, address: Address) -> Option<&Record> {
        self.records.find(address)
    }

    /// Finishes the device, and the bridges above it that have no other incoming device below.
    ///
    /// Tells whether it was incoming. It may be removed and found again while the incoming data is
    /// still there.
    pub(crate) fn finish(&self, device: Device<'_>) -> bool {
        let was_incoming = device
            .with_incoming(|record| record.set_refcount(0))
            .is_some();

        device.forget_incoming();
        device.let_sleep();
        if was_incoming {
            dev_info!(device.as_dev(), "liveupdate: finished\n");
            for bridge in device.upstream_bridges() {
                self.count_down_bridge(bridge);
            }
        }
        was_incoming
    }

    /// A device below the bridge is finished.
    fn count_down_bridge(&self, bridge: Device<'_>) {
        // One that was removed has the same record as the one that was found in its place.
        if bridge.with_incoming(Record::count_down) == Some(Some(0)) {
            bridge.let_sleep();
            dev_info!(bridge.as_dev(), "liveupdate: finished\n");
        }
    }

    /// Finishes all that is left: what is not there, and the bridges above it.
    fn finish_all(&self) {
        for record in self.records.iter() {
            record.set_refcount(0);
        }
    }
}

#[pinned_drop]
impl PinnedDrop for Incoming {
    fn drop(self: Pin<&mut Self>) {
        self.close();
        if self.is_published {
            // Who has found it to be there is done with it after that.
            rcu::synchronize_rcu();
        }
    }
}
