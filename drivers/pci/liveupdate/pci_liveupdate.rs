// SPDX-License-Identifier: GPL-2.0

//! PCI Live Update: the part of the PCI core.
//!
//! While the kernel is replaced by kexec, PCI devices can go on working. This crate keeps the list
//! of the devices that are to do so, in memory that the next kernel finds, and finds the list of
//! the previous kernel. `Documentation/PCI/liveupdate.rst` explains the model and the life of a
//! device.
//!
//! - [`entry`]: the functions that drivers and the PCI core call.
//! - [`device`]: a `struct pci_dev` and its two records.
//! - [`outgoing`]: what this kernel hands over.
//! - [`incoming`]: what this kernel was handed.
//! - [`validate`]: whether it can be read, and what that guarantees.
//! - [`preservable`]: what a device must be like to be preserved.
//! - `iommu_group`: what its IOMMU group must be like for that.
//! - [`buses`]: bus numbers that stay.
//! - [`awake`]: devices that do not sleep.
//! - [`binding`]: which drivers an incoming device can have.
//! - [`reach`]: what devices can reach while there is no kernel.
//! - [`removed`]: incoming devices that were removed, and may come back.
//! - [`stop`]: devices that are to do no DMA any more.
//! - [`acs`]: Access Control Services that stay.
//! - [`record`]: the format in which it is handed over.
//! - [`debugfs`]: all of this, for people to see.
//! - `consistency`: whether it fits together.
//! - [`devices`]: all PCI devices.
//! - `rescan`: the same, while none comes or goes.
//!
//! # Locks
//!
//! From the outside in:
//!
//! 1. What our callers hold, or `consistency` takes: the PCI core's `pci_rescan_remove_lock` when a
//!    device is set up or removed, LUO's locks of the session and the file, and
//!    `luo_register_rwlock`, when a driver's file handler is called, the lock of the device when a
//!    driver is bound. LUO holds `luo_session_serialize_rwsem` while its data is frozen. Who
//!    preserves a device has LUO's already, so he only tries `pci_rescan_remove_lock`, for a second:
//!    see [`buses::BusNumbers`].
//! 2. LUO's mutex of the outgoing data, or of the incoming data. LUO holds it in all callbacks of
//!    [`Records`], and takes it whenever a reference to the data is got or put.
//! 3. The mutex of the outgoing records, in [`outgoing::Outgoing`]. It is taken by who has a
//!    reference to the outgoing data, after that was got, and dropped before the reference is put,
//!    and by [`Records::freeze`] and [`Records::unfreeze`], inside of LUO's. The lock of a device
//!    must not be taken with it held, as a driver may preserve its device when it is bound. The
//!    last reference to a removed device may be dropped with it held, and with it the device's bus
//!    goes.
//! 4. The mutex of incoming devices, in [`incoming::Incoming`]. It is taken by who has a reference
//!    to the incoming data, and dropped before one is put.
//! 5. The mutex of the list of removed devices, in [`removed`].
//! 6. What the kernel locks to allocate memory, in KHO and elsewhere.
//!
//! What LUO calls when the last file is finished holds none of them but LUO's own. It waits for no
//! lock of a device: who removes one may hold that, and wait for LUO's of the session.
//!
//! The incoming data is made by one thread, before anybody else can see it, and from then on
//! nothing of it changes but the reference counts of its records. These are atomic, so that looking
//! up a device needs no lock; finishing one does, and making one incoming. Both go through
//! [`incoming::Changes`], which comes with the lock. The files keep the data, and with it the
//! records that devices point to; who follows such a pointer without lock does so under RCU.
//!
//! C headers: [`include/linux/pci_liveupdate.h`](srctree/include/linux/pci_liveupdate.h),
//! [`drivers/pci/liveupdate.h`](srctree/drivers/pci/liveupdate.h)

use kernel::{
    bindings,
    error::to_result,
    kho::Handle,
    liveupdate::{
        FileLifecycleBound,
        Flb, //
    },
    prelude::*, //
};

mod acs;
mod awake;
#[cfg(CONFIG_PCI_LIVEUPDATE_BENCH)]
mod bench;
mod binding;
mod buses;
#[cfg(CONFIG_PCI_LIVEUPDATE_CHECK)]
mod consistency;
mod debugfs;
mod device;
mod devices;
mod entry;
#[cfg(CONFIG_PCI_LIVEUPDATE_KUNIT_TEST)]
mod fuzz;
mod incoming;
#[cfg(CONFIG_IOMMU_API)]
mod iommu_group;
mod outgoing;
mod preservable;
mod reach;
mod record;
mod removed;
#[cfg(CONFIG_PCI_LIVEUPDATE_CHECK)]
mod rescan;
mod stop;
#[cfg(CONFIG_PCI_LIVEUPDATE_KUNIT_TEST)]
mod tests;
mod validate;

use crate::{
    incoming::Incoming,
    outgoing::Outgoing, //
};

/// The PCI core's data that LUO hands over.
struct Records;

#[vtable]
impl FileLifecycleBound for Records {
    const COMPATIBLE: &'static CStr = record::COMPATIBLE;

    type Outgoing = Outgoing;
    type Incoming = Incoming;

    fn preserve() -> impl PinInit<Outgoing, Error> {
        Outgoing::new()
    }

    fn handle(outgoing: &Outgoing) -> Handle {
        outgoing.handle()
    }

    fn freeze(outgoing: &Outgoing) -> Result {
        // SAFETY: FFI call without requirements.
        to_result(unsafe { bindings::pci_liveupdate_hold_off_removals() })?;
        outgoing.lock().as_mut().freeze(true);
        Ok(())
    }

    fn unfreeze(outgoing: &Outgoing) {
        // SAFETY: FFI call without requirements.
        unsafe { bindings::pci_liveupdate_let_removals_go_on() };
        outgoing.lock().as_mut().freeze(false);
    }

    fn retrieve(handle: Handle) -> impl PinInit<Incoming, Error> {
        Incoming::retrieve(handle)
    }

    fn files_finished(incoming: &Incoming) {
        incoming.end();
    }
}

static RECORDS: Flb<Records> = Flb::new();

struct PciLiveupdate {
    _debugfs: Pin<KBox<debugfs::Files>>,
    #[cfg(CONFIG_PCI_LIVEUPDATE_BENCH)]
    _bench: Pin<KBox<bench::Bench>>,
}

impl kernel::Module for PciLiveupdate {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        // SAFETY: This is called once.
        unsafe { removed::init() };
        Ok(Self {
            _debugfs: KBox::pin_init(debugfs::Files::new(), GFP_KERNEL)?,
            #[cfg(CONFIG_PCI_LIVEUPDATE_BENCH)]
            _bench: KBox::pin_init(bench::Bench::new(), GFP_KERNEL)?,
        })
    }
}

#[cfg(not(CONFIG_PCI_LIVEUPDATE_KUNIT_TEST))]
kernel::prelude::module! {
    type: PciLiveupdate,
    name: "pci_liveupdate",
    authors: ["PCI Live Update"],
    description: "Keep PCI devices working across a live update",
    license: "GPL",
}

#[cfg(CONFIG_PCI_LIVEUPDATE_KUNIT_TEST)]
kernel::prelude::module! {
    type: PciLiveupdate,
    name: "pci_liveupdate",
    authors: ["PCI Live Update"],
    description: "Keep PCI devices working across a live update",
    license: "GPL",
    params: {
        fuzz_rounds: u64 {
            default: 10000,
            description: "How many random hand-overs a KUnit test reads",
        },
        fuzz_seed: u64 {
            default: 0,
            description: "Seed of the first of them, or 0 for any",
        },
    },
}
