// SPDX-License-Identifier: GPL-2.0

//! What the Live Update Orchestrator calls to preserve the files of vfio-pci.

use crate::{
    device::{
        self,
        Device, //
    },
    record::{
        self,
        Record, //
    }, //
};
use kernel::{
    fs::File,
    kho::{
        Handle,
        Preserved,
        Restored, //
    },
    liveupdate::{
        FileHandler,
        Handler,
        Registration,
        Retrieval, //
    },
    pci::{
        self,
        liveupdate::Preservation, //
    },
    prelude::*,
    sync::aref::ARef, //
};

/// What this kernel keeps for a preserved file. Dropping it takes all of it back.
pub(crate) struct State {
    _record: Preserved<Record>,
    _preservation: Preservation,
}

/// Files of vfio-pci.
pub(crate) struct Files;

/// The record of a file that was handed over, if it can be read.
fn read(handle: Handle) -> Result<Record> {
    let record: Record = handle.peek()?;

    if record.is_readable() {
        Ok(record)
    } else {
        Err(EINVAL)
    }
}

/// The device that a record is of, if it is there and waits to be retrieved or finished.
fn incoming(record: &Record) -> Option<ARef<pci::Device>> {
    device::find(record.address())
        .filter(|pdev| pdev.liveupdate_is_incoming() && record.is_of(pdev))
}

#[vtable]
impl FileHandler for Files {
    const COMPATIBLE: &'static CStr = record::COMPATIBLE;
    type Preserved = KBox<State>;

    fn can_preserve(file: &File) -> bool {
        Device::of(file).is_some_and(Device::can_be_preserved)
    }

    fn preserve(file: &File) -> Result<(KBox<State>, Handle)> {
        let device = Device::of(file).ok_or(EINVAL)?;
        let mut record = Preserved::new(Record::of(device.pdev()))?;
        let handle = record.handle();
        let preservation = device.pdev().liveupdate_preserve()?;

        // The user can't change it any more.
        if device.keeps_running() {
            record.set_running();
        }

        let state = State {
            _record: record,
            _preservation: preservation,
        };
        Ok((KBox::new(state, GFP_KERNEL)?, handle))
    }

    fn freeze(file: &File, _state: &State, handle: Handle) -> Result<Handle> {
        Device::of(file).ok_or(EINVAL)?.freeze()?;
        Ok(handle)
    }

    fn unfreeze(file: &File, _state: &State) {
        if let Some(device) = Device::of(file) {
            device.unfreeze();
        }
    }

    fn retrieve(handle: Handle) -> Result<ARef<File>> {
        let record = read(handle).inspect_err(|_| {
            pr_err!("liveupdate: the previous kernel's record at {handle} cannot be read\n")
        })?;
        let pdev = incoming(&record).ok_or(ENODEV)?;

        device::open(&pdev, record.is_running())
    }

    fn can_finish(file: Retrieval<'_>, handle: Handle) -> bool {
        match file {
            Retrieval::NotAttempted => false,
            Retrieval::Done(file) => Device::of(file).is_some(),
            // A device that is there may be running, for all we know. One that is lost, or not
            // known, will never be bound.
            Retrieval::Failed(_) => !read(handle).is_ok_and(|record| incoming(&record).is_some()),
        }
    }

    fn finish(file: Retrieval<'_>, handle: Handle) {
        if Restored::<Record>::restore(handle).is_err() {
            pr_err!("liveupdate: nothing was preserved at {handle}\n");
        }

        // By way of the file: who unbinds the driver holds the device's lock until it is closed.
        if let Retrieval::Done(file) = file {
            if let Some(device) = Device::of(file) {
                device.finish();
            }
        }
    }
}

static FILES: Handler<Files> = Handler::new();

/// Registers the handler. Without it, as when live update is off, vfio-pci works as ever.
pub(crate) fn register() -> Option<Registration<Files>> {
    FILES
        .register(pci::liveupdate::register_flb)
        .inspect_err(|&error| {
            if error != EOPNOTSUPP {
                pr_err!(
                    "liveupdate: files cannot be preserved: error {}\n",
                    error.to_errno()
                );
            }
        })
        .ok()
}
