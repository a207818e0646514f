// SPDX-License-Identifier: GPL-2.0

//! What the Live Update Orchestrator calls to preserve the files of vfio-pci.
//!
//! None of it waits for the lock of a device: who removes the device holds that, and may be waiting
//! for what the orchestrator has locked. Nor for anything that a user may hold up.

use crate::{
    device::{
        self,
        Device, //
    },
    incoming,
    record::{
        self,
        Record, //
    }, //
};
use kernel::{
    fs::File,
    kho::Memory,
    liveupdate::{
        FileHandler,
        Handler,
        KeepsNoFile,
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
pub(crate) struct State(Preservation);

impl Drop for State {
    fn drop(&mut self) {
        device::unset_preserved(self.0.device());
    }
}

/// Files of vfio-pci.
pub(crate) struct Files;

#[vtable]
impl FileHandler for Files {
    type Format = record::Files;
    type State = State;
    // Who closes it has its device stopped.
    //
    // SAFETY: The files are vfio's, whose release has each forgotten in C. They are of a character
    // device, and have no position.
    const KEEPS_NO_FILE: Option<KeepsNoFile> = Some(unsafe { KeepsNoFile::new() });

    fn can_preserve(file: &File) -> bool {
        device::can_preserve(file)
    }

    fn preserve(file: &File) -> Result<(Record, State)> {
        let device = Device::of(file).ok_or(EINVAL)?;
        let pdev = device.pdev();

        if pdev.liveupdate_is_incoming() {
            return Err(EBUSY);
        }

        let state = State(pdev.liveupdate_preserve()?);
        let (flags, registers) = device::set_preserved(pdev, file)?;

        Ok((Record::new(pdev, flags, registers), state))
    }

    fn freeze(
        file: Option<&File>,
        _state: &mut State,
        _memory: Pin<&mut Memory<record::Files>>,
    ) -> Result {
        device::refuse_removals()?;
        if let Some(file) = file {
            let device = Device::of(file).ok_or(EINVAL)?;

            device.check_translation()?;
            device.freeze()?;
        }
        Ok(())
    }

    fn unfreeze(file: Option<&File>, _state: &mut State) {
        if let Some(device) = file.and_then(Device::of) {
            device.unfreeze();
        }
    }

    fn is_gone(state: &State) -> bool {
        device::is_gone(state.0.device())
    }

    fn retrieve(record: Option<Record>) -> Result<ARef<File>> {
        let Some(record) = record.filter(incoming::is_known) else {
            pr_err!("liveupdate: the previous kernel's record of a file cannot be read\n");
            incoming::stop_unclaimed();
            return Err(EINVAL);
        };
        let pdev = incoming::device_of(record).ok_or(ENODEV)?;

        device::open(&pdev, &record)
    }

    fn can_finish(file: Retrieval<'_>, record: Option<Record>) -> bool {
        let record = record.filter(incoming::is_known);

        if record.and_then(incoming::device_of).is_none() {
            return incoming::stop_lost(record);
        }

        match file {
            Retrieval::Done(file) => Device::of(file).is_some_and(Device::is_attached),
            // It was stopped when that happened.
            Retrieval::Closed => true,
            // It may be running, and it can be tried again.
            Retrieval::NotAttempted | Retrieval::Failed(_) => false,
        }
    }

    fn finish(_file: Retrieval<'_>, record: Option<Record>) {
        let Some(record) = record.filter(incoming::is_known) else {
            return;
        };

        match incoming::device_of(record) {
            Some(pdev) => pdev.liveupdate_finish(),
            None => device::finish_absent(record.address()),
        }
        incoming::forget(record);
    }
}

pub(crate) static FILES: Handler<Files> = Handler::new();

/// Registers the handler. Without it, as when live update is off, vfio-pci works as ever.
///
/// # Errors
///
/// `ENOMEM`. Whoever asks for a file that was handed over has this module loaded again.
pub(crate) fn register() -> Result<Option<Registration<Files>>> {
    // Once it is registered, a file may be preserved, and this module has to stay.
    incoming::read_all(&FILES)?;

    match FILES.register(|files| {
        pci::liveupdate::register_flb(files)?;
        device::register_translation(files)
    }) {
        Ok(registration) => Ok(Some(registration)),
        Err(EOPNOTSUPP) => Ok(None),
        Err(ENOMEM) => {
            incoming::forget_all();
            Err(ENOMEM)
        }
        Err(error) => {
            let error = error.to_errno();

            pr_err!("liveupdate: files cannot be preserved: error {error}\n");
            Ok(None)
        }
    }
}
