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
        Handle,
        Preservable,
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
        liveupdate::{
            Preservation,
            User, //
        }, //
    },
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    }, //
};

/// What one kernel's driver tells the next one's about a file.
#[repr(C)]
pub(crate) struct Record {
    /// Where the device is, nul-terminated; how the kernel names it.
    name: [u8; 24],
    cookie: Atomic<u64>,
    tried: Tried,
}

// SAFETY: Any bytes are valid, and there is no padding between 24 bytes, a number of 8 and two
// of 4.
unsafe impl Preservable for Record {}

impl Record {
    fn new(device: &TestDevice) -> Result<Self> {
        let bytes = device.name().to_bytes();
        let mut name = [0; 24];

        name.get_mut(..bytes.len())
            .ok_or(EINVAL)?
            .copy_from_slice(bytes);
        Ok(Self {
            name,
            cookie: Atomic::new(device.cookie.load(Relaxed)),
            tried: Tried::new(),
        })
    }

    /// Does what must not be done any more, and notes what came of it.
    fn try_to_change(&self, device: &TestDevice) {
        let other = DEVICES
            .lock()
            .iter()
            .find(|entry| !entry.device.pdev.liveupdate_is_outgoing())
            .map(|entry| entry.device.clone());
        let errno = |result: Result| result.map_or_else(Error::to_errno, |()| 0);

        if let Some(other) = other {
            self.tried
                .preserve
                .store(errno(raw::preserve(&other.pdev)), Relaxed);
        }
        self.tried
            .unpreserve
            .store(errno(raw::unpreserve(&device.pdev)), Relaxed);
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

/// What this kernel keeps for a preserved file.
pub(crate) struct State {
    record: Preserved<Record>,
    device: Arc<TestDevice>,
    _preservation: Preservation,
}

/// Files of all devices that the driver is bound to.
pub(crate) struct Files;

#[vtable]
impl FileHandler for Files {
    const COMPATIBLE: &'static CStr = c"pci-liveupdate-test-v1";
    type Preserved = KBox<State>;

    fn can_preserve(file: &File) -> bool {
        device::of_file(file).is_some()
    }

    fn preserve(file: &File) -> Result<(KBox<State>, Handle)> {
        let device = device::of_file(file).ok_or(ENODEV)?;
        let record = Preserved::new(Record::new(&device)?)?;
        let handle = record.handle();
        let state = State {
            record,
            _preservation: device.pdev.liveupdate_preserve()?,
            device: device.clone(),
        };
        let state = KBox::new(state, GFP_KERNEL)?;

        // Last, so that there is something to take back.
        device.may_fail(Step::Preserve)?;
        Ok((state, handle))
    }

    fn freeze(_file: Option<&File>, state: &State, handle: Handle) -> Result<Handle> {
        // The user may have changed it since the file was preserved.
        state
            .record
            .cookie
            .store(state.device.cookie.load(Relaxed), Relaxed);

        state.device.may_fail(Step::Freeze)?;
        if state.device.tries.load(Relaxed) {
            state.record.try_to_change(&state.device);
        }
        Ok(handle)
    }

    fn unfreeze(_file: Option<&File>, _state: &State) {}

    fn retrieve(handle: Handle) -> Result<ARef<File>> {
        let record: Record = handle.peek()?;
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
        entry
            .device
            .cookie
            .store(record.cookie.load(Relaxed), Relaxed);
        entry.device.tried.set(&record.tried);
        entry.device.pdev.liveupdate_set_user(User::Retrieved);
        Ok(file)
    }

    fn can_finish(_file: Retrieval<'_>, handle: Handle) -> bool {
        let Ok(record) = handle.peek::<Record>() else {
            return true;
        };

        record
            .device()
            .is_none_or(|device| device.may_fail(Step::CanFinish).is_ok())
    }

    fn finish(_file: Retrieval<'_>, handle: Handle) {
        let Ok(record) = Restored::<Record>::restore(handle) else {
            pr_warn!("nothing was preserved at {handle}\n");
            return;
        };

        if let Some(device) = record.device() {
            if device.pdev.liveupdate_is_incoming() {
                device.pdev.liveupdate_finish();
            }
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
