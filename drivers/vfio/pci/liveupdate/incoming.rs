// SPDX-License-Identifier: GPL-2.0

//! The records that the previous kernel handed over to us.
//!
//! If one of them can't be read, or leads nowhere, it is not known which device it was for. What
//! is known are the others: a device that none of them leads to is one that nobody can have back.

use crate::{
    device,
    record::{
        Files,
        Record, //
    }, //
};
use kernel::{
    bindings,
    liveupdate::{
        FileHandler,
        Handler, //
    },
    pci::{
        self,
        Address, //
    },
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Acquire,
            Atomic,
            Release, //
        }, //
    }, //
};

/// What was handed over for a file, if it can be read.
struct Incoming {
    record: Record,
    /// No other is for the same device, and the file isn't finished.
    is_known: bool,
}

kernel::sync::global_lock! {
    /// In the order of their addresses.
    // SAFETY: `init()` initialises it before anything uses it.
    unsafe(uninit) static INCOMING: Mutex<KVec<Incoming>> = KVec::new();
}

/// A device can be bound before the records are read.
static IS_READY: Atomic<bool> = Atomic::new(false);

/// # Safety
///
/// To be called once, before anything else of this module but what it exports.
pub(crate) unsafe fn init() {
    // SAFETY: The caller guarantees that this is the first call, and nobody uses it before.
    unsafe { INCOMING.init() };
    IS_READY.store(true, Release);
}

/// Reads all records, before anybody can retrieve or finish a file.
pub(crate) fn read_all(files: &Handler<impl FileHandler<Format = Files>>) -> Result {
    let mut all: KVec<Incoming> = KVec::new();
    let mut complete: Result = Ok(());

    files.for_each_incoming(|record| {
        let Some(record) = record.filter(Record::is_readable) else {
            return;
        };
        let incoming = Incoming {
            record,
            is_known: true,
        };

        if let Err(error) = all.push(incoming, GFP_KERNEL) {
            complete = Err(error.into());
        }
    })?;
    complete?;
    all.sort_unstable_by_key(|incoming| incoming.record.address());
    // Of several records for one device, nobody can tell which is its own.
    for same in all.chunk_by_mut(|one, other| one.record.address() == other.record.address()) {
        let is_double = same.len() > 1;

        same.iter_mut()
            .for_each(|incoming| incoming.is_known = !is_double);
    }
    *INCOMING.lock() = all;
    Ok(())
}

fn position(all: &[Incoming], address: Address) -> Option<usize> {
    all.binary_search_by_key(&address, |incoming| incoming.record.address())
        .ok()
}

/// Whether a record can be read, and is the only one for its device, of a file that isn't finished.
pub(crate) fn is_known(record: &Record) -> bool {
    let all = INCOMING.lock();

    record.is_readable()
        && position(&all, record.address()).is_some_and(|index| all[index].is_known)
}

/// The file that is finished is nobody's any more.
pub(crate) fn forget(record: Record) {
    let mut all = INCOMING.lock();

    // It stays in its place, for who goes through all of them.
    if let Some(index) = position(&all, record.address()) {
        all[index].is_known = false;
    }
}

/// Forgets all of them, when no file can be retrieved any more.
pub(crate) fn forget_all() {
    let all = core::mem::take(&mut *INCOMING.lock());

    drop(all);
}

/// The device that is where a record says, if it is the same kind of device.
fn device_at(record: Record) -> Option<ARef<pci::Device>> {
    pci::Device::find(record.address()).filter(|pdev| record.is_of(pdev))
}

/// The device that a record leads to, if it is there and waits to be retrieved or finished.
pub(crate) fn device_of(record: Record) -> Option<ARef<pci::Device>> {
    device_at(record).filter(|pdev| pdev.liveupdate_is_incoming())
}

/// There is no device that is to be finished with a file: stops what may be running in its place.
/// Tells whether nothing can be.
pub(crate) fn stop_lost(record: Option<Record>) -> bool {
    let Some(record) = record else {
        return stop_unclaimed();
    };

    if let Some(pdev) = device_at(record) {
        // It was given to a driver that does not know live update.
        if pdev.liveupdate_is_stopped() {
            return true;
        }
        // The PCI core does not know of it.
        device::stop_stray(&pdev);
    }
    // It was handed over, and is not there.
    if device::is_absent(record.address()) {
        return device::stop_absent();
    }
    stop_unclaimed()
}

/// A record can't be read, or leads nowhere: it is for another device, for all we know, which may
/// be running. Stops all that no record leads to.
pub(crate) fn stop_unclaimed() -> bool {
    device::stop_unclaimed();
    device::stop_absent()
}

/// Binds vfio-pci to all devices that the records lead to.
pub(crate) fn attach() {
    for index in 0.. {
        let Some(record) = INCOMING.lock().get(index).map(|incoming| incoming.record) else {
            return;
        };
        let Some(pdev) = Some(record).filter(is_known).and_then(device_at) else {
            continue;
        };

        if pdev.liveupdate_is_incoming() {
            device::attach(&pdev);
            if !record.is_running() {
                device::begin_reset(&pdev);
            }
        } else {
            device::stop_stray(&pdev);
        }
    }
}

/// Whether there is a record that leads to an incoming device, of which `is_it` is true. No before
/// they are read.
///
/// # Safety
///
/// `pdev` must point to a valid device.
unsafe fn is_any_of(pdev: *mut bindings::pci_dev, is_it: fn(&Record) -> bool) -> bool {
    // SAFETY: The caller guarantees that the device is valid for as long as it is used here.
    let pdev = unsafe { pci::Device::from_raw(pdev) };

    if !pdev.liveupdate_is_incoming() || !IS_READY.load(Acquire) {
        return false;
    }

    let all = INCOMING.lock();

    position(&all, pdev.address()).is_some_and(|index| {
        let Incoming { record, is_known } = &all[index];

        *is_known && record.is_of(pdev) && is_it(record)
    })
}

/// Tells whether one of the records leads to an incoming device, so that somebody can have it back.
///
/// # Safety
///
/// `pdev` must point to a valid device.
#[export]
unsafe extern "C" fn vfio_pci_liveupdate_is_claimed(pdev: *mut bindings::pci_dev) -> bool {
    // SAFETY: The caller guarantees that the device is valid.
    unsafe { is_any_of(pdev, |_| true) }
}

/// Tells whether the previous kernel has stopped an incoming device for its user, who can have it
/// back.
///
/// # Safety
///
/// `pdev` must point to a valid device.
#[export]
unsafe extern "C" fn vfio_pci_liveupdate_was_handed_over_stopped(
    pdev: *mut bindings::pci_dev,
) -> bool {
    // SAFETY: The caller guarantees that the device is valid.
    unsafe { is_any_of(pdev, |record| !record.is_running()) }
}
