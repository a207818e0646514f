// SPDX-License-Identifier: GPL-2.0

//! What the Live Update Orchestrator calls to preserve the files of the devices.

use crate::{
    device::{
        self,
        Entry,
        Step,
        TestDevice,
        Tried,
        DEVICES, //
    },
    raw, //
};
use kernel::{
    fs::{
        file::flags,
        File, //
    },
    kho::{
        Format,
        Memory, //
    },
    liveupdate::{
        FileHandler,
        Handler,
        Registration,
        Retrieval, //
    },
    pci::{
        self,
        liveupdate::{
            Preservation,
            User, //
        }, //
    },
    prelude::*,
    sync::{
        aref::ARef,
        atomic::Relaxed,
        Arc, //
    }, //
};

/// What one kernel's driver tells the next one's about a file.
#[derive(FromBytes, IntoBytes, zerocopy_derive::Immutable)]
#[repr(C)]
pub(crate) struct Record {
    /// Where the device is, nul-terminated; how the kernel names it.
    name: [u8; 24],
    cookie: u64,
    tried: Tried,
}

impl Record {
    fn new(device: &TestDevice) -> Result<Self> {
        let bytes = device.name().to_bytes();
        let mut name = [0; 24];

        name.get_mut(..bytes.len())
            .ok_or(EINVAL)?
            .copy_from_slice(bytes);
        Ok(Self {
            name,
            cookie: device.cookie.load(Relaxed),
            tried: Tried::NOT,
        })
    }

    /// Which of the devices the record is of, if the driver is bound to it.
    fn find<'a>(&self, devices: &'a [Entry]) -> Option<&'a Entry> {
        let name = CStr::from_bytes_until_nul(&self.name).ok()?;

        devices.get(device::position(devices, name).ok()?)
    }

    fn device(&self) -> Option<Arc<TestDevice>> {
        self.find(&DEVICES.lock()).map(|entry| entry.device.clone())
    }
}

/// Does what must not be done any more, and says what came of it.
fn try_to_change(device: &TestDevice) -> Tried {
    let other = DEVICES
        .lock()
        .iter()
        .find(|entry| !entry.device.pdev.liveupdate_is_outgoing())
        .map(|entry| entry.device.clone());
    let errno = |result: Result| result.map_or_else(Error::to_errno, |()| 0);

    Tried {
        preserve: other.map_or(Tried::NOT.preserve, |other| {
            errno(raw::preserve(&other.pdev))
        }),
        unpreserve: errno(raw::unpreserve(&device.pdev)),
    }
}

/// What this kernel keeps for a preserved file. Dropping it takes all of it back.
pub(crate) struct State {
    device: Arc<TestDevice>,
    _preservation: Preservation,
}

/// Files of all devices that the driver is bound to.
pub(crate) struct Files;

// SAFETY: Nothing else has this name, which changes with the record.
unsafe impl Format for Files {
    const NAME: &'static CStr = c"pci-liveupdate-test-v1";
    type Record = Record;
    type Entry = ();
}

#[vtable]
impl FileHandler for Files {
    type Format = Files;
    type State = State;

    fn can_preserve(file: &File) -> bool {
        device::of_file(file).is_some()
    }

    fn preserve(file: &File) -> Result<(Record, State)> {
        let device = device::of_file(file).ok_or(ENODEV)?;
        let record = Record::new(&device)?;
        // Who removes the device has locked it, and may be waiting for who calls this.
        let locked = device.pdev.try_lock().ok_or(EBUSY)?;
        let _preservation = locked.liveupdate_preserve()?;

        drop(locked);
        // Last, so that there is something to take back.
        device.may_fail(Step::Preserve)?;

        let state = State {
            device,
            _preservation,
        };

        Ok((record, state))
    }

    fn freeze(_file: Option<&File>, state: &mut State, memory: Pin<&mut Memory<Files>>) -> Result {
        let device = &state.device;

        device.may_fail(Step::Freeze)?;
        memory.update(|record| {
            // The user may have changed it since the file was preserved.
            record.cookie = device.cookie.load(Relaxed);
            if device.tries.load(Relaxed) {
                record.tried = try_to_change(device);
            }
        });
        Ok(())
    }

    fn unfreeze(_file: Option<&File>, _state: &mut State) {}

    fn retrieve(record: Option<Record>) -> Result<ARef<File>> {
        let record = record.ok_or(EINVAL)?;
        let devices = DEVICES.lock();
        let entry = record.find(&devices).ok_or(ENODEV)?;

        if !entry.device.pdev.liveupdate_is_incoming() {
            return Err(ENODEV);
        }

        let file = entry.node.create_file(
            c"[pci_liveupdate_test]",
            entry.device.clone(),
            flags::O_RDWR,
        )?;

        entry.device.may_fail(Step::Retrieve)?;
        entry.device.cookie.store(record.cookie, Relaxed);
        *entry.device.tried.lock() = record.tried;
        entry.device.pdev.liveupdate_set_user(User::Retrieved);
        Ok(file)
    }

    fn can_finish(_file: Retrieval<'_>, record: Option<Record>) -> bool {
        record
            .and_then(|record| record.device())
            .is_none_or(|device| device.may_fail(Step::CanFinish).is_ok())
    }

    fn finish(_file: Retrieval<'_>, record: Option<Record>) {
        let Some(device) = record.and_then(|record| record.device()) else {
            return;
        };

        if device.pdev.liveupdate_is_incoming() {
            device.pdev.liveupdate_finish();
        }
    }
}

static FILES: Handler<Files> = Handler::new();

/// Registers the handler. Not when live update is off, where the driver works as any other.
pub(crate) fn register() -> Result<Option<Registration<Files>>> {
    match FILES.register(pci::liveupdate::register_flb) {
        Ok(registration) => Ok(Some(registration)),
        Err(EOPNOTSUPP) => Ok(None),
        Err(error) => Err(error),
    }
}
