// SPDX-License-Identifier: GPL-2.0

//! What the Live Update Orchestrator calls, for the data that all files of PCI devices share.

use crate::{
    abi::{
        Devices,
        Header, //
    },
    end,
    incoming::{
        Outcome,
        Records, //
    },
    outgoing::{
        self,
        Outgoing, //
    }, //
};
use kernel::{
    bindings,
    error::to_result,
    kho::{
        HandedOver,
        Memory, //
    },
    liveupdate::{
        FileLifecycleBound,
        Flb, //
    },
    prelude::*, //
};

/// The PCI core's data.
pub(crate) struct PciDevices;

#[vtable]
impl FileLifecycleBound for PciDevices {
    type Format = Devices;
    type Outgoing = Outgoing;
    // What was handed over is there for good: see [`incoming`](crate::incoming).
    type Incoming = ();

    fn preserve() -> Result<(Header, Outgoing)> {
        Ok((Header::new(), Outgoing::new()))
    }

    fn freeze(outgoing: &mut Outgoing, mut memory: Pin<&mut Memory<Devices>>) -> Result {
        // SAFETY: FFI call without requirements.
        to_result(unsafe { bindings::pci_liveupdate_hold_off_removals() })?;
        outgoing.forget_removed();
        memory
            .as_mut()
            .update(|header| header.nr_devices = outgoing.len() as u32);
        // Room was made for all of them when they were preserved.
        memory
            .write(outgoing.records())
            .inspect_err(|_| Self::unfreeze(outgoing))?;
        outgoing::set_written(true);
        Ok(())
    }

    fn unfreeze(_: &mut Outgoing) {
        outgoing::set_written(false);
        // SAFETY: FFI call without requirements.
        unsafe { bindings::pci_liveupdate_let_removals_go_on() };
    }

    fn retrieve(hand_over: HandedOver<Devices>) -> Result {
        match Records::read(hand_over) {
            Ok(records) => {
                Outcome::Read(records).set();
                Ok(())
            }
            Err(why) => {
                Outcome::Unreadable(why).set();
                Err(why.into())
            }
        }
    }

    fn files_finished((): &()) {
        end::end();
    }
}

pub(crate) static FLB: Flb<PciDevices> = Flb::new();
