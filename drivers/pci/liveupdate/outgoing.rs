// SPDX-License-Identifier: GPL-2.0

//! What this kernel hands over: the devices that are preserved.
//!
//! Until the next kernel is on its way they are nothing but a list; then they are written down.

use crate::{
    abi::Record,
    awake::Awake,
    state::Device, //
};
use kernel::{
    pci,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        }, //
    }, //
};

/// How many devices are preserved.
static PRESERVED: Atomic<i32> = Atomic::new(0);

/// Whether any device was ever preserved. It does not change back while buses are scanned.
static EVER: Atomic<bool> = Atomic::new(false);

/// Whether the next kernel will find what is preserved.
static WRITTEN: Atomic<bool> = Atomic::new(false);

/// Takes note whether the next kernel will find what is preserved.
pub(crate) fn set_written(is_written: bool) {
    WRITTEN.store(is_written, Relaxed);
}

/// Whether the next kernel will find what is preserved. Not if a driver has gone that had the PCI
/// core's data handed over.
pub(crate) fn is_written() -> bool {
    WRITTEN.load(Relaxed)
}

/// Whether bus numbers are to stay as they are, as devices are preserved, or were.
pub(crate) fn keep_buses() -> bool {
    EVER.load(Relaxed)
}

/// Whether any device is preserved.
pub(crate) fn is_any() -> bool {
    PRESERVED.load(Relaxed) != 0
}

/// A device that is preserved.
struct Kept {
    device: ARef<pci::Device>,
    /// 1, or how many devices at or below this bridge are preserved.
    refcount: u16,
    /// The bridge above it, if it is not one itself.
    _bridge: Option<Awake>,
}

/// The devices that are preserved, and the bridges above them.
///
/// # Invariants
///
/// A device says that it is outgoing if, and only if, it is one of these; and where.
pub(crate) struct Outgoing(KVVec<Kept>);

impl Outgoing {
    pub(crate) fn new() -> Self {
        // INVARIANT: There is none.
        Self(KVVec::new())
    }

    /// How many devices there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Goes through them, with their reference counts.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Device<'_>, u16)> {
        self.0
            .iter()
            .map(|kept| (Device::new(&kept.device), kept.refcount))
    }

    /// What is handed over.
    pub(crate) fn records(&self) -> impl Iterator<Item = Record> + '_ {
        self.iter()
            .map(|(device, refcount)| Record::new(device.address(), refcount))
    }

    /// Adds a device, and counts it in all bridges above it.
    ///
    /// Returns how many of these, beginning with the device, are new.
    ///
    /// # Errors
    ///
    /// `EBUSY` when it is there already, `EOVERFLOW` when a bridge has too many devices below it,
    /// `ENOMEM`. Then nothing has changed.
    pub(crate) fn preserve(&mut self, device: Device<'_>, bridge: Option<Awake>) -> Result<usize> {
        let before = self.len();

        if device.is_outgoing() {
            return Err(EBUSY);
        }
        self.count(device, bridge)?;
        for (counted, bridge) in device.upstream_bridges().enumerate() {
            if let Err(error) = self.count(bridge, None) {
                self.uncount(device.path().take(1 + counted));
                return Err(error);
            }
        }
        Ok(self.len() - before)
    }

    /// Takes back [`Outgoing::preserve`].
    ///
    /// Returns how many of the device and the bridges above it, beginning with the device, are
    /// gone.
    ///
    /// # Errors
    ///
    /// `ENOENT` when it is not there. Then nothing has changed.
    pub(crate) fn unpreserve(&mut self, device: Device<'_>) -> Result<usize> {
        let before = self.len();

        // A bridge is not there for itself.
        if !device.is_outgoing() || device.is_bridge() {
            return Err(ENOENT);
        }
        self.uncount(device.path());
        Ok(before - self.len())
    }

    /// Takes out what was removed: the next kernel would not find it.
    pub(crate) fn forget_removed(&mut self) {
        // What takes the place of one that goes comes from behind, and was looked at.
        for position in (0..self.len()).rev() {
            let Some(kept) = self.0.get(position) else {
                continue;
            };
            let device = Device::new(&kept.device);

            if device.is_bridge() || !device.is_removed() {
                continue;
            }

            let device = device.get();
            let device = Device::new(&device);

            dev_warn!(
                device.as_dev(),
                "liveupdate: not handed over, as it was removed\n"
            );
            self.uncount(device.path());
        }
    }

    /// Where a device is, if it is one of these.
    fn position(&self, device: Device<'_>) -> Option<usize> {
        let position = device.outgoing().load(Relaxed).checked_sub(1)? as usize;

        // Tests have several of these.
        self.0
            .get(position)
            .is_some_and(|kept| device.is(&kept.device))
            .then_some(position)
    }

    /// Counts one more device at or below one.
    fn count(&mut self, device: Device<'_>, bridge: Option<Awake>) -> Result {
        if let Some(position) = self.position(device) {
            let refcount = &mut self.0[position].refcount;

            *refcount = refcount.checked_add(1).ok_or(EOVERFLOW)?;
            return Ok(());
        }
        self.0.push(
            Kept {
                device: device.get(),
                refcount: 1,
                _bridge: bridge,
            },
            GFP_KERNEL,
        )?;
        // INVARIANT: It is the last of them.
        device.outgoing().store(self.len() as i32, Relaxed);
        PRESERVED.add(1, Relaxed);
        EVER.store(true, Relaxed);
        Ok(())
    }

    /// Counts one device less at or below each of some that are there.
    fn uncount<'a>(&mut self, devices: impl Iterator<Item = Device<'a>>) {
        for device in devices {
            let Some(position) = self.position(device) else {
                continue;
            };

            self.0[position].refcount -= 1;
            if self.0[position].refcount != 0 {
                continue;
            }

            // The last one takes its place.
            let Some(last) = self.0.pop() else {
                continue;
            };

            if let Some(place) = self.0.get_mut(position) {
                let moved = Device::new(&last.device);

                // INVARIANT: It is where that one was.
                moved
                    .outgoing()
                    .store(device.outgoing().load(Relaxed), Relaxed);
                *place = last;
            }
            // INVARIANT: It is none of them any more.
            device.outgoing().store(0, Relaxed);
            PRESERVED.add(-1, Relaxed);
        }
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        // There is one if its driver didn't unpreserve it before the last file was unpreserved.
        for (device, _) in self.iter() {
            PRESERVED.add(-1, Relaxed);
            device.outgoing().store(0, Relaxed);
            if !device.is_bridge() {
                dev_warn!(
                    device.as_dev(),
                    "liveupdate: its driver did not unpreserve it\n"
                );
            }
        }
    }
}
