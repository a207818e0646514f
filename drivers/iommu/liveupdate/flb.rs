// SPDX-License-Identifier: GPL-2.0

//! What the Live Update Orchestrator calls, for the data that all files of drivers share whose
//! devices are translated.

use crate::{
    abi::{
        Devices,
        Header, //
    },
    incoming::{
        self,
        Incoming, //
    },
    outgoing::Outgoing, //
};
use kernel::{
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

/// The devices whose translation goes on.
pub(crate) struct Translated;

#[vtable]
impl FileLifecycleBound for Translated {
    type Format = Devices;
    type Outgoing = Outgoing;
    type Incoming = KVec<Incoming>;

    fn preserve() -> Result<(Header, Outgoing)> {
        Ok((Header::new(), Outgoing::new()))
    }

    fn freeze(outgoing: &mut Outgoing, mut memory: Pin<&mut Memory<Devices>>) -> Result {
        memory
            .as_mut()
            .update(|header| header.nr_devices = outgoing.len() as u32);
        // Room was made for all of them when they were preserved.
        memory.write(outgoing.records())?;
        outgoing.keep(true);
        Ok(())
    }

    fn unfreeze(outgoing: &mut Outgoing) {
        outgoing.keep(false);
    }

    fn retrieve(hand_over: HandedOver<Devices>) -> Result<KVec<Incoming>> {
        incoming::read(hand_over)
    }
}

pub(crate) static FLB: Flb<Translated> = Flb::new();
