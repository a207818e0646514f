// SPDX-License-Identifier: GPL-2.0

//! The records that the previous kernel handed over to us.
//!
//! If one of them can't be read, or leads nowhere, it is not known which device it was for. What
//! is known are the others: a device that none of them leads to is one that nobody can have back.

use crate::{
    device,
    handler::FILES,
    record::Record, //
};
use kernel::{
    bindings,
    kho::Handle,
    pci,
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

/// What was handed over for a file.
struct Incoming {
    handle: Handle,
    /// There if it can be read, and no other is for the same device, until the file is finished.
    record: Option<Record>,
}

kernel::sync::global_lock! {
    // SAFETY: `init()` initialises it before anything uses it.
    unsafe(uninit) static INCOMING: Mutex<KVec<Incoming>> = KVec::new();
}

/// A device can be bound before the records are read.
static IS_READY: Atomic<bool> = Atomic::new(false);

/// # Safety
///
/// To be called once, before anything else of this module but what it exports.
pub(crate) unsafe fn init() {
    // SAFETY: By the safety requirements, and nobody uses it before.
    unsafe { INCOMING.init() };
    IS_READY.store(true, Release);
}

/// Reads all records, before anybody can retrieve or finish a file.
pub(crate) fn read_all() -> Result {
    let mut all: KVec<Incoming> = KVec::new();
    let mut complete: Result = Ok(());

    FILES.for_each_incoming(|handle| {
        let record = Record::read(handle).ok();

        if let Err(error) = all.push(Incoming { handle, record }, GFP_KERNEL) {
            complete = Err(error.into());
        }
    })?;
    complete?;
    drop_doubles(&mut all);
    // To be found quickly, however many there are.
    all.sort_unstable_by_key(|incoming| incoming.handle);
    *INCOMING.lock() = all;
    Ok(())
}

/// Of several records for one device, nobody can tell which is its own.
fn drop_doubles(all: &mut [Incoming]) {
    let address = |incoming: &Incoming| incoming.record.map(|record| record.address());

    all.sort_unstable_by_key(address);
    for same in all.chunk_by_mut(|one, other| address(one) == address(other)) {
        if same.len() > 1 {
            for incoming in same {
                incoming.record = None;
            }
        }
    }
}

fn position(all: &[Incoming], handle: Handle) -> Result<usize, usize> {
    all.binary_search_by_key(&handle, |incoming| incoming.handle)
}

/// The file that is finished is nobody's any more.
pub(crate) fn forget(handle: Handle) {
    let mut all = INCOMING.lock();

    // It stays in its place, for who goes through all of them.
    if let Ok(index) = position(&all, handle) {
        all[index].record = None;
    }
}

/// Forgets all of them, when no file can be retrieved any more.
pub(crate) fn forget_all() {
    let all = core::mem::take(&mut *INCOMING.lock());

    drop(all);
}

/// The record of a file, if it can be read.
pub(crate) fn record(handle: Handle) -> Option<Record> {
    let all = INCOMING.lock();

    all[position(&all, handle).ok()?].record
}

/// The device that is where a record says, if it is the same kind of device.
fn device_at(record: Record) -> Option<ARef<pci::Device>> {
    device::find(record.address()).filter(|pdev| record.is_of(pdev))
}

/// The device that a record leads to, if it is there and waits to be retrieved or finished.
pub(crate) fn device_of(record: Record) -> Option<ARef<pci::Device>> {
    device_at(record).filter(|pdev| pdev.liveupdate_is_incoming())
}

/// There is no device that is to be finished with a file: stops what may be running in its place.
/// Tells whether nothing can be.
pub(crate) fn stop_lost(handle: Handle) -> bool {
    let Some(record) = record(handle) else {
        return stop_unclaimed();
    };

    if let Some(pdev) = device_at(record) {
        // It was given to a driver that does not know live update.
        if device::is_stopped(&pdev) {
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
        let Some(pdev) = record.and_then(device_at) else {
            continue;
        };

        if pdev.liveupdate_is_incoming() {
            device::attach(&pdev);
            if record.is_some_and(|record| !record.is_running()) {
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
    // SAFETY: By the safety requirements; `pci::Device` is a transparent wrapper of it.
    let pdev: &pci::Device = unsafe { &*pdev.cast() };

    if !pdev.liveupdate_is_incoming() || !IS_READY.load(Acquire) {
        return false;
    }

    let address = device::address(pdev);

    INCOMING
        .lock()
        .iter()
        .filter_map(|incoming| incoming.record)
        .any(|record| record.address() == address && record.is_of(pdev) && is_it(&record))
}

/// Tells whether one of the records leads to an incoming device, so that somebody can have it back.
///
/// # Safety
///
/// `pdev` must point to a valid device.
#[export]
unsafe extern "C" fn vfio_pci_liveupdate_is_claimed(pdev: *mut bindings::pci_dev) -> bool {
    // SAFETY: By the safety requirements.
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
    // SAFETY: By the safety requirements.
    unsafe { is_any_of(pdev, |record| !record.is_running()) }
}
