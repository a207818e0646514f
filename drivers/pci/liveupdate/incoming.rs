// SPDX-License-Identifier: GPL-2.0

//! What this kernel was handed: the records of the devices that the previous one preserved.
//!
//! They are read once, into an index of our own, which is there for good from then on, so that who
//! looks a device up needs neither a lock nor a reference. When the hand-over ends it is emptied.

use crate::{
    abi::{
        Devices,
        Record, //
    },
    state::{
        self,
        key,
        Device, //
    },
    validate::{
        validate,
        Summary,
        Unreadable, //
    }, //
};
use kernel::{
    kho::{
        self,
        HandedOver,
        TakenOver, //
    },
    new_mutex,
    pci::Address,
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
        Mutex,
        SetOnce, //
    },
    warn_on,
    xarray::ValueXArray, //
};

/// What became of the hand-over, for good. Not populated while nobody asked for it.
static OUTCOME: SetOnce<Outcome> = SetOnce::new();

/// Whether something that was handed over is not where it was, so that a device that is found to be
/// a bus master may be one that nobody gets back.
static LOST: Atomic<bool> = Atomic::new(false);

/// What was found when the hand-over was asked for.
pub(crate) enum Outcome {
    /// Live update is off.
    Off,
    /// No kernel left anything.
    None,
    /// A kernel left something, but nothing about PCI devices.
    Foreign,
    /// The records were read.
    Read(Pin<KBox<Records>>),
    /// The records can't be read, so that any device may be doing DMA.
    Unreadable(Unreadable),
}

impl Outcome {
    /// What was found, or `None` when no device was set up yet.
    pub(crate) fn get() -> Option<&'static Self> {
        OUTCOME.as_ref()
    }

    /// Takes note of what was found, and says whether that was news.
    pub(crate) fn set(self) -> bool {
        let is_news = OUTCOME.populate(self);

        match OUTCOME.as_ref() {
            Some(Self::Off | Self::None | Self::Foreign) => set_looked_up(false),
            // Devices may be doing DMA, and nobody knows which.
            Some(Self::Unreadable(why)) if is_news => {
                pr_err!("the hand-over cannot be read: {why}\n");
                warn_on!(true);
            }
            _ => {}
        }
        is_news
    }
}

/// Says whether devices that are found are looked up, which is what they are at first.
fn set_looked_up(are_looked_up: bool) {
    // SAFETY: Nothing is written to it but like this, and C reads it as a whole.
    let flag = unsafe { Atomic::from_ptr(&raw mut kernel::bindings::pci_liveupdate_looks_up) };

    flag.store(are_looked_up, Relaxed);
}

/// The records, if they could be read, be they finished or not.
pub(crate) fn records() -> Option<&'static Records> {
    match Outcome::get() {
        Some(Outcome::Read(records)) => Some(records),
        _ => None,
    }
}

/// Whether there are incoming devices, for all that is known.
pub(crate) fn is_there() -> bool {
    records().is_some_and(|records| !records.is_closed.load(Relaxed))
}

/// Whether nobody is left who could take a device back.
pub(crate) fn has_ended() -> bool {
    records().is_some_and(|records| records.has_ended.load(Relaxed))
}

/// Whether the hand-over can't be read. Then each bridge is treated as if it was preserved.
pub(crate) fn is_unreadable() -> bool {
    matches!(Outcome::get(), Some(Outcome::Unreadable(_)))
}

/// Whether bus numbers are to stay as they are found, as devices were handed over, or may have
/// been.
pub(crate) fn keep_buses() -> bool {
    is_unreadable() || records().is_some_and(|records| records.summary.devices != 0)
}

/// Whether a device that is found to be a bus master is stopped.
pub(crate) fn stops_found() -> bool {
    is_unreadable() || LOST.load(Relaxed)
}

/// Takes note that something is not where it was.
pub(crate) fn set_lost() {
    LOST.store(true, Relaxed);
}

/// A device that was removed while it was incoming, and may come back. It may have been without
/// power then, so that what it has in its registers is not what the previous kernel left.
struct Removed {
    key: usize,
    /// The ACS controls that it kept.
    acs: Option<u16>,
}

/// What was handed over.
#[pin_data]
pub(crate) struct Records {
    /// The reference counts of devices. It is 0 once the device is finished.
    #[pin]
    index: ValueXArray,
    /// Locked as well while reference counts change, together with what devices say.
    #[pin]
    removed: Mutex<KVec<Removed>>,
    summary: Summary,
    has_ended: Atomic<bool>,
    is_closed: Atomic<bool>,
}

impl Records {
    /// Reads what was handed over, and frees it. If it can't be read, the memory stays as it is,
    /// for good.
    pub(crate) fn read(hand_over: HandedOver<Devices>) -> Result<Pin<KBox<Self>>, Unreadable> {
        let mut hand_over = hand_over.take_over()?;
        let this = Self::parse(&mut hand_over)?;

        hand_over.free();
        Ok(this)
    }

    /// Reads what was taken over.
    pub(crate) fn parse(hand_over: &mut TakenOver<Devices>) -> Result<Pin<KBox<Self>>, Unreadable> {
        let no_memory = |_: Error| Unreadable::from(kho::Unreadable::NoMemory);
        let this = pin_init!(Self {
            index <- ValueXArray::new(),
            removed <- new_mutex!(KVec::new(), "pci_liveupdate_incoming"),
            summary: Summary::default(),
            has_ended: Atomic::new(false),
            is_closed: Atomic::new(false),
        });
        let mut this = KBox::pin_init(this, GFP_KERNEL).map_err(no_memory)?;
        let summary = validate(hand_over, |address, refcount| {
            this.index
                .insert(key(address), refcount, GFP_KERNEL)
                .map_err(|error| match error {
                    EBUSY => Unreadable::Twice(address),
                    error => no_memory(error),
                })
        })?;

        *this.as_mut().project().summary = summary;
        Ok(this)
    }

    /// What was found.
    #[cfg(CONFIG_PCI_LIVEUPDATE_KUNIT_TEST)]
    pub(crate) fn summary(&self) -> Summary {
        self.summary
    }

    /// The reference count of the device at `address`, if it is incoming.
    #[inline]
    pub(crate) fn find(&self, address: Address) -> Option<u16> {
        self.index
            .get(key(address))
            .filter(|refcount| *refcount != 0)
    }

    /// Goes through the records, finished ones included, in the order of their addresses.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Record> + '_ {
        self.index
            .iter()
            .map(|(key, refcount)| Record::new(state::address(key), refcount))
    }

    /// Locks what is known of incoming devices: while a device is finished, or found, no other one
    /// is.
    ///
    /// For the order of locks see the top of the crate.
    pub(crate) fn lock(&self) -> Changes<'_> {
        Changes {
            records: self,
            removed: self.removed.lock(),
        }
    }
}

/// What was handed over, locked: nobody else makes devices incoming, or finishes them.
pub(crate) struct Changes<'a> {
    records: &'a Records,
    removed: Guard<'a, KVec<Removed>, MutexBackend>,
}

impl Changes<'_> {
    /// Changes the reference count of the device at `address` if it is incoming, and tells whether.
    fn change(&self, address: Address, f: impl FnOnce(u16) -> u16) -> Option<u16> {
        let refcount = f(self.records.find(address)?);

        // Only what is there is changed, which needs no memory.
        let _ = self.records.index.store(key(address), refcount, GFP_KERNEL);
        Some(refcount)
    }

    /// Finishes the record of `address`, and tells whether that was incoming.
    pub(crate) fn finish_record(&self, address: Address) -> bool {
        self.change(address, |_| 0).is_some()
    }

    /// Finishes the device, and the bridges above it that have no other incoming device below.
    ///
    /// Tells whether it was incoming. It may have been removed, and found again: it is finished for
    /// both.
    pub(crate) fn finish(&self, device: Device<'_>) -> bool {
        let was_incoming = device.inherits().load(Relaxed) && self.finish_record(device.address());

        device.let_sleep();
        if was_incoming {
            dev_info!(device.as_dev(), "liveupdate: finished\n");
            for bridge in device.upstream_bridges() {
                self.count_down(bridge);
            }
        }
        was_incoming
    }

    /// A device below the bridge is finished.
    pub(crate) fn count_down(&self, bridge: Device<'_>) {
        if !bridge.inherits().load(Relaxed) {
            return;
        }
        // One that was removed has the same record as the one that was found in its place.
        if self.change(bridge.address(), |refcount| refcount - 1) == Some(0) {
            bridge.let_sleep();
            dev_info!(bridge.as_dev(), "liveupdate: finished\n");
        }
    }

    /// From now on there is nobody who could take a device back.
    pub(crate) fn set_ended(&self) {
        self.records.has_ended.store(true, Relaxed);
    }

    /// From now on no device is incoming, and what it was is forgotten.
    pub(crate) fn close(&mut self) {
        self.records.is_closed.store(true, Relaxed);
        self.records.index.clear();
        *self.removed = KVec::new();
        set_looked_up(stops_found());
    }

    /// Takes note that an incoming device is removed.
    ///
    /// If there is no memory for it, the device is taken for one that was never seen before.
    pub(crate) fn note_removed(&mut self, device: Device<'_>) {
        let (key, acs) = (device.key(), device.kept_acs());

        if self.records.is_closed.load(Relaxed) {
            return;
        }
        match self.removed.iter_mut().find(|removed| removed.key == key) {
            // One that could not be set up again has none of its own.
            Some(removed) => removed.acs = acs.or(removed.acs),
            None => drop(self.removed.push(Removed { key, acs }, GFP_KERNEL)),
        }
    }

    fn removed(&self, address: Address) -> Option<&Removed> {
        self.removed
            .iter()
            .find(|removed| removed.key == key(address))
    }

    /// Whether a device at this address was removed while it was incoming.
    pub(crate) fn was_removed(&self, address: Address) -> bool {
        self.removed(address).is_some()
    }

    /// The ACS controls that the device kept when it was removed, if it was, and had any.
    pub(crate) fn removed_acs(&self, device: Device<'_>) -> Option<u16> {
        self.removed(device.address())?.acs
    }

    /// Whether no device was removed, as far as that still matters.
    #[cfg(CONFIG_PCI_LIVEUPDATE_CHECK)]
    pub(crate) fn is_none_removed(&self) -> bool {
        self.removed.is_empty()
    }
}

impl Device<'_> {
    /// The reference count by the previous kernel, unless the device is finished.
    pub(crate) fn incoming(self) -> Option<u16> {
        if !self.inherits().load(Relaxed) {
            return None;
        }
        records()?.find(self.address())
    }

    /// Whether the previous kernel preserved the device, and it is not finished.
    pub(crate) fn is_incoming(self) -> bool {
        self.incoming().is_some()
    }

    /// Whether what the previous kernel set up must be left alone: in an incoming device, and in
    /// any bridge if it isn't known which devices are.
    pub(crate) fn is_kept(self) -> bool {
        self.is_incoming() || (is_unreadable() && self.is_bridge())
    }

    /// Whether it is a bridge, with incoming devices below.
    pub(crate) fn is_incoming_bridge(self) -> bool {
        self.is_bridge() && self.is_incoming()
    }
}
