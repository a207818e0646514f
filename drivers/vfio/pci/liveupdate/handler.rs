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
    record: Preserved<Record>,
    preservation: Preservation,
}

impl Drop for State {
    fn drop(&mut self) {
        device::unset_preserved(self.preservation.device());
    }
}

/// Files of vfio-pci.
pub(crate) struct Files;

#[vtable]
impl FileHandler for Files {
    const COMPATIBLE: &'static CStr = record::COMPATIBLE;
    // Who closes it has its device stopped.
    const KEEPS_NO_FILE: bool = true;
    type Preserved = KBox<State>;

    fn can_preserve(file: &File) -> bool {
        device::can_preserve(file)
    }

    fn preserve(file: &File) -> Result<(KBox<State>, Handle)> {
        let pdev = Device::of(file).ok_or(EINVAL)?.pdev();

        if pdev.liveupdate_is_incoming() {
            return Err(EBUSY);
        }

        let record = Preserved::new(Record::of(pdev))?;
        let handle = record.handle();
        let mut state = KBox::new(
            State {
                record,
                preservation: pdev.liveupdate_preserve()?,
            },
            GFP_KERNEL,
        )?;

        let (running, registers) = device::set_preserved(pdev, file)?;

        state.record.set_wish(running, registers);
        Ok((state, handle))
    }

    fn freeze(file: Option<&File>, _state: &State, handle: Handle) -> Result<Handle> {
        device::refuse_removals()?;
        if let Some(file) = file {
            Device::of(file).ok_or(EINVAL)?.freeze()?;
        }
        Ok(handle)
    }

    fn unfreeze(file: Option<&File>, _state: &State) {
        if let Some(device) = file.and_then(Device::of) {
            device.unfreeze();
        }
    }

    fn is_gone(state: &State) -> bool {
        device::is_gone(state.preservation.device())
    }

    fn retrieve(handle: Handle) -> Result<ARef<File>> {
        let Some(record) = incoming::record(handle) else {
            pr_err!("liveupdate: the previous kernel's record at {handle} cannot be read\n");
            incoming::stop_unclaimed();
            return Err(EINVAL);
        };
        let pdev = incoming::device_of(record).ok_or(ENODEV)?;

        device::open(&pdev, &record)
    }

    fn can_finish(file: Retrieval<'_>, handle: Handle) -> bool {
        if incoming::record(handle)
            .and_then(incoming::device_of)
            .is_none()
        {
            return incoming::stop_lost(handle);
        }

        match file {
            Retrieval::Done(file) => Device::of(file).is_some(),
            // It was stopped when that happened.
            Retrieval::Closed => true,
            // It may be running, and it can be tried again.
            Retrieval::NotAttempted | Retrieval::Failed(_) => false,
        }
    }

    fn finish(_file: Retrieval<'_>, handle: Handle) {
        if let Some(record) = incoming::record(handle) {
            match incoming::device_of(record) {
                Some(pdev) => device::finish(&pdev),
                None => device::finish_absent(record.address()),
            }
        }
        incoming::forget(handle);
        if Restored::<Record>::restore(handle).is_err() {
            pr_err!("liveupdate: nothing was preserved at {handle}\n");
        }
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
    incoming::read_all()?;

    match FILES.register(pci::liveupdate::register_flb) {
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
