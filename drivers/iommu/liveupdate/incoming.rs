// SPDX-License-Identifier: GPL-2.0

//! What this kernel was handed: devices that may be doing DMA by tables of the previous one.
//!
//! What can't be read is left out. Then there is nothing by which the device gets through to
//! memory.

use crate::{
    abi::{
        Devices,
        Record,
        VERSION, //
    },
    restored::is_handed_over, //
};
use kernel::{
    bindings,
    kho::HandedOver,
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    }, //
};

/// A device that was handed over.
pub(crate) struct Incoming {
    pub(crate) record: Record,
    outcome: Atomic<i32>,
}

/// What has become of it when the driver of its IOMMU asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// None did.
    NotAsked,
    /// Its translation goes on.
    GoesOn,
    /// This was in the way.
    Ends(Error),
}

impl Incoming {
    fn new(record: Record) -> Self {
        Self {
            record,
            outcome: Atomic::new(1),
        }
    }

    pub(crate) fn outcome(&self) -> Outcome {
        match self.outcome.load(Relaxed) {
            1 => Outcome::NotAsked,
            0 => Outcome::GoesOn,
            error => Outcome::Ends(Error::from_errno(error)),
        }
    }

    pub(crate) fn set_outcome(&self, result: Result) {
        self.outcome
            .store(result.map_or_else(Error::to_errno, |()| 0), Relaxed);
    }
}

/// Reads what was handed over, and frees it. If it can't be read, the memory stays as it is.
///
/// # Errors
///
/// `EINVAL`, which is logged, `ENOMEM`.
pub(crate) fn read(hand_over: HandedOver<Devices>) -> Result<KVec<Incoming>> {
    let unreadable = |error: Error| {
        pr_err!(
            "the hand-over cannot be read, all translation ends: error {}\n",
            error.to_errno()
        );
        error
    };

    try_read(hand_over).map_err(unreadable)
}

fn try_read(hand_over: HandedOver<Devices>) -> Result<KVec<Incoming>> {
    let mut hand_over = hand_over.take_over()?;
    let mut records = KVec::new();

    if hand_over.record().version != VERSION {
        return Err(EINVAL);
    }
    hand_over.for_each_entry(|record| -> Result {
        Ok(records.push(Incoming::new(record), GFP_KERNEL)?)
    })?;
    if records.len() != hand_over.record().nr_devices as usize {
        return Err(EINVAL);
    }
    hand_over.free();
    Ok(records)
}

impl Record {
    /// Whether it can be one of a device.
    pub(crate) fn is_valid(&self) -> bool {
        const PAGE: u64 = bindings::PAGE_SIZE as u64;

        u32::from(self.format) == bindings::IOMMU_SER_VTDSS
            && (2..=5).contains(&self.levels)
            && self.scalable <= 1
            && self.reserved == [0; 5]
            && self.top % PAGE == 0
            && is_handed_over(self.top)
    }
}
