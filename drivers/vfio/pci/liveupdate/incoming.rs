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
    sync::aref::ARef, //
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

/// # Safety
///
/// To be called once, before anything else of this module.
pub(crate) unsafe fn init() {
    // SAFETY: By the safety requirements.
    unsafe { INCOMING.init() };
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
    *INCOMING.lock() = all;
    Ok(())
}

/// Of several records for one device, nobody can tell which is its own.
fn drop_doubles(all: &mut [Incoming]) {
    for index in 0..all.len() {
        let (before, rest) = all.split_at_mut(index + 1);
        let Some(address) = before[index].record.map(|record| record.address()) else {
            continue;
        };
        let mut is_single = true;

        for other in rest {
            if other
                .record
                .is_some_and(|record| record.address() == address)
            {
                other.record = None;
                is_single = false;
            }
        }
        if !is_single {
            before[index].record = None;
        }
    }
}

/// The file that is finished is nobody's any more.
pub(crate) fn forget(handle: Handle) {
    // It stays in its place, for who goes through all of them.
    for incoming in INCOMING.lock().iter_mut() {
        if incoming.handle == handle {
            incoming.record = None;
        }
    }
}

/// Forgets all of them, when no file can be retrieved any more.
pub(crate) fn forget_all() {
    let all = core::mem::take(&mut *INCOMING.lock());

    drop(all);
}

/// The record of a file, if it can be read.
pub(crate) fn record(handle: Handle) -> Option<Record> {
    INCOMING
        .lock()
        .iter()
        .find(|incoming| incoming.handle == handle)
        .and_then(|incoming| incoming.record)
}

/// The device that is where a record says, if it is the same kind of device.
fn device_at(record: Record) -> Option<ARef<pci::Device>> {
    device::find(record.address()).filter(|pdev| record.is_of(pdev))
}

/// The device that a record leads to, if it is there and waits to be retrieved or finished.
pub(crate) fn device_of(record: Record) -> Option<ARef<pci::Device>> {
    device_at(record).filter(|pdev| pdev.liveupdate_is_incoming())
}

/// The record of a file can't be read, or leads nowhere: stops all devices that it may be for.
pub(crate) fn stop_lost(handle: Handle) {
    if let Some(pdev) = record(handle).and_then(device_at) {
        device::stop_stray(&pdev);
    }
    device::stop_unclaimed();
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
        } else {
            device::stop_stray(&pdev);
        }
    }
}

/// Tells whether one of the records leads to a device, so that somebody can have it back.
///
/// # Safety
///
/// It is safe to call with any pointer.
#[export]
unsafe extern "C" fn vfio_pci_liveupdate_is_claimed(pdev: *mut bindings::pci_dev) -> bool {
    INCOMING
        .lock()
        .iter()
        .filter_map(|incoming| incoming.record.and_then(device_at))
        .any(|device| device::as_raw(&device) == pdev)
}
