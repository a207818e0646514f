// SPDX-License-Identifier: GPL-2.0

//! The state of all this, in `debugfs/iommu_liveupdate/`, for people to see.
//!
//! - `outgoing`: a line for each device whose translation goes on in the next kernel.
//! - `incoming`: a line for each device that the previous kernel has handed over, until all are
//!   finished, which says what has become of it.

use crate::{
    abi::Record,
    device,
    flb::FLB,
    incoming::Outcome, //
};
use kernel::{
    bindings,
    debugfs::{
        Dir,
        File,
        Writer, //
    },
    fmt,
    pci,
    prelude::*,
    types::NotThreadSafe, //
};

/// The files, which are there as long as this is.
#[pin_data]
pub(crate) struct Files {
    _dir: Dir,
    #[pin]
    outgoing: File<OutgoingFile>,
    #[pin]
    incoming: File<IncomingFile>,
}

impl Files {
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        pin_init::pin_init_scope(|| {
            let dir = Dir::new(c"iommu_liveupdate");

            Ok(try_pin_init!(Self {
                outgoing <- dir.read_only_file(c"outgoing", OutgoingFile),
                incoming <- dir.read_only_file(c"incoming", IncomingFile),
                _dir: dir.clone(),
            }? Error))
        })
    }
}

/// Copies what is to be written, as that may take long, and locks are not to be held for it.
fn copy<T>(items: impl Iterator<Item = T>) -> Result<KVVec<T>> {
    let mut copies = KVVec::new();

    for item in items {
        copies.push(item, GFP_KERNEL)?;
    }
    Ok(copies)
}

fn write_record(record: &Record, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mode = match record.scalable {
        0 => "legacy",
        _ => "scalable",
    };

    f.write_fmt(fmt!(
        "{} unit={:#x} domain={} table={:#x} levels={} mode={}",
        record.address(),
        record.unit,
        record.domain_id,
        record.top,
        record.levels,
        mode
    ))
}

struct OutgoingFile;

impl Writer for OutgoingFile {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(data) = FLB.outgoing() else {
            return Ok(());
        };
        let devices = copy(data.lock().as_mut().state().sizes());

        drop(data);
        let Ok(devices) = devices else {
            return f.write_str("no memory\n");
        };

        for (record, pages) in &devices {
            write_record(record, f)?;
            f.write_fmt(fmt!(" pages={pages} state=preserved\n"))?;
        }
        Ok(())
    }
}

/// Devices that are not removed as long as this is there.
///
/// # Invariants
///
/// They are held, by this thread.
struct Held(NotThreadSafe);

impl Held {
    fn try_new() -> Option<Self> {
        // SAFETY: FFI call without requirements. It does not wait for those who remove devices.
        let is_held = unsafe { bindings::pci_liveupdate_try_hold_devices() };

        // INVARIANT: They just were.
        is_held.then_some(Self(NotThreadSafe))
    }

    /// Whether a device has the page table still that was handed over, if it is there.
    fn is_restored(&self, address: pci::Address) -> Option<bool> {
        let pdev = pci::Device::find(address)?;

        // SAFETY: There is a reference to the device. `find()` gives only those that are registered,
        // and who unregisters one, which takes its IOMMU from it, holds the lock that `self` has.
        Some(unsafe { bindings::iommu_device_is_restored(device::as_raw(pdev.as_ref())) })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: By the type invariant they are held by this thread.
        unsafe { bindings::pci_liveupdate_let_devices_go() };
    }
}

fn write_state(record: &Record, outcome: Outcome, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match outcome {
        Outcome::NotAsked => return f.write_str(" state=ended # it has no IOMMU that is in use"),
        Outcome::Ends(error) => {
            return f.write_fmt(fmt!(
                " state=ended # its DMA leads to faults: error {}",
                error.to_errno()
            ))
        }
        Outcome::GoesOn => {}
    }
    f.write_str(
        match Held::try_new().map(|held| held.is_restored(record.address())) {
            None => " state=busy # devices are being added or removed: ask again",
            Some(None) => " state=absent # it is not there",
            Some(Some(true)) => " state=restored # attach it to a page table of its new user",
            Some(Some(false)) => " state=replaced # its old page table is out of use",
        },
    )
}

struct IncomingFile;

impl Writer for IncomingFile {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(data) = FLB.incoming() else {
            return Ok(());
        };
        let devices = data
            .object()
            .and_then(|devices| copy(devices.iter().map(|d| (d.record, d.outcome()))));

        drop(data);
        let Ok(devices) = devices else {
            return f.write_str("what was handed over cannot be read\n");
        };

        for (record, outcome) in &devices {
            write_record(record, f)?;
            write_state(record, *outcome, f)?;
            f.write_str("\n")?;
        }
        Ok(())
    }
}
