// SPDX-License-Identifier: GPL-2.0

//! Incoming devices that were removed, and may come back.
//!
//! When such a device is found again, its record says that it is incoming, but it may have been
//! without power. So what it has in its registers then is not what the previous kernel left.

use crate::{
    device::Device,
    incoming,
    record::Address, //
};
use kernel::{
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic,
        Release, //
    }, //
};

kernel::sync::global_lock! {
    /// For the order of locks see the top of the crate.
    // SAFETY: Not used before `IS_READY` is set, which is when it was initialised.
    unsafe(uninit) static REMOVED: Mutex<KVec<Removed>> = KVec::new();
}

/// PCI devices are there before this crate's module is initialised.
static IS_READY: Atomic<bool> = Atomic::new(false);

/// A device that was removed.
struct Removed {
    key: usize,
    /// The ACS controls that it kept.
    acs: Option<u16>,
}

/// Gets ready to take notes.
///
/// # Safety
///
/// To be called once.
pub(crate) unsafe fn init() {
    // SAFETY: By the safety requirements, and nobody uses it before.
    unsafe { REMOVED.init() };
    IS_READY.store(true, Release);
}

fn is_ready() -> bool {
    IS_READY.load(Acquire)
}

/// Takes note that an incoming device is removed.
///
/// If there is no memory for it, the device is taken for one that was never seen before. So it is
/// if it is removed early in the boot.
///
/// Context: May sleep.
pub(crate) fn note(device: Device<'_>) {
    if !is_ready() {
        return;
    }

    let key = device.address().key();
    let acs = device.kept_acs();
    let mut all = REMOVED.lock();

    // Who ends the hand-over says so, and then forgets all.
    if !incoming::is_there() {
        return;
    }
    match all.iter_mut().find(|removed| removed.key == key) {
        // One that could not be set up again has none of its own.
        Some(removed) => removed.acs = acs.or(removed.acs),
        None => drop(all.push(Removed { key, acs }, GFP_KERNEL)),
    }
}

/// Whether a device at this address was removed while it was incoming.
pub(crate) fn was(address: Address) -> bool {
    let key = address.key();

    is_ready() && REMOVED.lock().iter().any(|removed| removed.key == key)
}

/// The ACS controls that the device kept when it was removed while it was incoming, if it was, and
/// had any.
pub(crate) fn acs(device: Device<'_>) -> Option<u16> {
    if !is_ready() {
        return None;
    }

    let key = device.address().key();
    let all = REMOVED.lock();

    all.iter()
        .find(|removed| removed.key == key)
        .and_then(|removed| removed.acs)
}

/// Whether no device was removed while it was incoming, as far as that still matters.
#[cfg(CONFIG_PCI_LIVEUPDATE_CHECK)]
pub(crate) fn is_empty() -> bool {
    !is_ready() || REMOVED.lock().is_empty()
}

/// Forgets all of them, as no device is incoming any more.
pub(crate) fn forget() {
    if !is_ready() {
        return;
    }

    let all = core::mem::take(&mut *REMOVED.lock());

    drop(all);
}
