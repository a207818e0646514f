// SPDX-License-Identifier: GPL-2.0

//! What userspace reads from a device's file and writes to it.
//!
//! Reading tells about the device, in lines of a word and a value. Writing takes a command:
//!
//! - `cookie N` stores a number in the device.
//! - `preserve`, `unpreserve` and `finish` are [raw calls](crate::raw) of the PCI core.
//! - `fail preserve`, `fail freeze`, `fail retrieve` and `fail can_finish` make this step fail for
//!   files of the device, instead of any other, and `fail nothing` takes that back.
//! - `freeze try` makes the preserved file try what it must not when it is frozen, and
//!   `freeze normal` takes that back.

use crate::{
    device::{
        self,
        Step,
        TestDevice,
        TestFile, //
    },
    raw, //
};
use kernel::{
    fs::{
        File,
        Kiocb, //
    },
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    miscdevice::{
        MiscDevice,
        MiscDeviceRegistration, //
    },
    prelude::*,
    str::{
        parse_int::ParseInt,
        BStr,
        CString, //
    },
    sync::{
        atomic::Relaxed,
        Arc, //
    }, //
};

/// The longest command that makes sense.
const MAX_COMMAND: usize = 64;

#[vtable]
impl MiscDevice for TestFile {
    type Ptr = Arc<TestDevice>;

    fn open(_file: &File, node: &MiscDeviceRegistration<Self>) -> Result<Arc<TestDevice>> {
        device::of_node(node).ok_or(ENODEV)
    }

    fn read_iter(mut kiocb: Kiocb<'_, Self::Ptr>, iov: &mut IovIterDest<'_>) -> Result<usize> {
        let text = describe(&kiocb.file())?;

        iov.simple_read_from_buffer(kiocb.ki_pos_mut(), text.to_bytes())
    }

    fn write_iter(kiocb: Kiocb<'_, Self::Ptr>, iov: &mut IovIterSource<'_>) -> Result<usize> {
        let mut command = KVec::new();

        if iov.len() > MAX_COMMAND {
            return Err(EINVAL);
        }
        let len = iov.copy_from_iter_vec(&mut command, GFP_KERNEL)?;

        execute(&kiocb.file(), command.trim_ascii())?;
        Ok(len)
    }
}

fn describe(device: &TestDevice) -> Result<CString> {
    let pdev = &device.pdev;
    let tried = *device.tried.lock();
    let state = match (pdev.liveupdate_is_incoming(), pdev.liveupdate_is_outgoing()) {
        (false, false) => "ordinary",
        (false, true) => "outgoing",
        (true, false) => "incoming",
        (true, true) => "incoming,outgoing",
    };

    CString::try_from_fmt(fmt!(
        "bdf {}\nvendor {:04x}\ndevice {:04x}\ncookie {:#018x}\nstate {}\nalive {}\n\
         tried_preserve {}\ntried_unpreserve {}\n",
        device.name(),
        pdev.vendor_id().as_raw(),
        pdev.device_id(),
        device.cookie.load(Relaxed),
        state,
        if device.is_alive() { "yes" } else { "no" },
        tried.preserve,
        tried.unpreserve,
    ))
}

fn step_of(name: &[u8]) -> Result<Option<Step>> {
    match name {
        b"nothing" => Ok(None),
        b"preserve" => Ok(Some(Step::Preserve)),
        b"freeze" => Ok(Some(Step::Freeze)),
        b"retrieve" => Ok(Some(Step::Retrieve)),
        b"can_finish" => Ok(Some(Step::CanFinish)),
        _ => Err(EINVAL),
    }
}

fn execute(device: &TestDevice, command: &[u8]) -> Result {
    match command {
        [b'c', b'o', b'o', b'k', b'i', b'e', b' ', number @ ..] => {
            let cookie = u64::from_str(BStr::from_bytes(number.trim_ascii()))?;

            device.cookie.store(cookie, Relaxed);
            Ok(())
        }
        b"preserve" => {
            raw::preserve(&device.pdev)?;
            device.is_preserved.store(true, Relaxed);
            Ok(())
        }
        b"unpreserve" => {
            raw::unpreserve(&device.pdev)?;
            device.is_preserved.store(false, Relaxed);
            Ok(())
        }
        [b'f', b'a', b'i', b'l', b' ', step @ ..] => {
            device.set_failing(step_of(step)?);
            Ok(())
        }
        b"freeze try" => {
            device.tries.store(true, Relaxed);
            Ok(())
        }
        b"freeze normal" => {
            device.tries.store(false, Relaxed);
            Ok(())
        }
        b"finish" => {
            device.pdev.liveupdate_finish();
            Ok(())
        }
        _ => Err(EINVAL),
    }
}
