// SPDX-License-Identifier: GPL-2.0

//! PCI Live Update: the part of the PCI core.
//!
//! While the kernel is replaced by kexec, PCI devices can go on working. This crate keeps the list
//! of the devices that are to do so, hands it over when that happens, and reads what the previous
//! kernel handed over. `Documentation/PCI/liveupdate.rst` explains the model and the life of a
//! device.
//!
//! - [`hooks`]: the functions that drivers and the PCI core call.
//! - [`state`]: a device, and what `struct pci_dev` has about live update.
//! - [`abi`]: the format in which it is handed over.
//! - [`outgoing`]: what this kernel hands over.
//! - [`incoming`]: what this kernel was handed.
//! - [`validate`]: whether it can be read, and what that guarantees.
//! - [`flb`]: what the Live Update Orchestrator calls, when both begin and end.
//! - [`mod@preserve`], and [`eligible`]: devices are preserved, if they are of the right kind.
//! - `iommu_group`: what their IOMMU group must be like for that.
//! - [`found`], [`removal`], [`end`]: what becomes of devices when they are found, removed, and
//!   finished.
//! - [`buses`], [`acs`], [`awake`], [`reach`]: what stays as it is: bus numbers, Access Control
//!   Services, devices that are awake, what can be reached while there is no kernel.
//! - [`binding`]: which drivers an incoming device can have.
//! - [`stop`]: devices that are to do no DMA any more.
//! - [`devices`]: all PCI devices.
//! - [`debugfs`]: all of this, for people to see.
//!
//! # Locks
//!
//! From the outside in:
//!
//! 1. What our callers hold: the PCI core's `pci_rescan_remove_lock` when a device is set up or
//!    removed, LUO's locks of the session and the file, and `luo_register_rwlock`, when a driver's
//!    file handler is called, the lock of the device when a driver is bound, or preserves it. LUO
//!    holds `luo_session_serialize_rwsem` while its data is frozen. Who preserves a device has
//!    LUO's already, so he only tries `pci_rescan_remove_lock`, for a second: see
//!    [`buses::BusNumbers`].
//! 2. LUO's mutex of the outgoing data, or of the incoming data. LUO holds it in all callbacks of
//!    [`flb`], and takes it whenever a reference to the data is got or put.
//! 3. The lock of the outgoing data, [`OutgoingRef::lock`](kernel::liveupdate::OutgoingRef::lock).
//!    It is taken by who has a reference to the data, and dropped before that is put, and held when
//!    the data is frozen, inside of LUO's. The lock of a device must not be taken with it held, as
//!    a driver may preserve its device when it is bound. The last reference to a removed device may
//!    be dropped with it held, and with it the device's bus goes.
//! 4. That of incoming devices, [`incoming::Records::lock`].
//! 5. That of the array of reference counts, and what the kernel locks to allocate memory, in KHO
//!    and elsewhere.
//!
//! What LUO calls when the last file is finished holds none of them but LUO's own. It waits for no
//! lock of a device: who removes one may hold that, and wait for LUO's of the session.
//!
//! Looking up a device among those that were handed over needs no lock; finishing one does, and
//! making one incoming.
//!
//! C headers: [`include/linux/pci_liveupdate.h`](srctree/include/linux/pci_liveupdate.h),
//! [`drivers/pci/liveupdate.h`](srctree/drivers/pci/liveupdate.h)

use kernel::prelude::*;

mod abi;
mod acs;
mod awake;
#[cfg(CONFIG_PCI_LIVEUPDATE_BENCH)]
mod bench;
mod binding;
mod buses;
mod debugfs;
mod devices;
mod eligible;
mod end;
mod flb;
mod found;
mod hooks;
mod incoming;
#[cfg(CONFIG_IOMMU_API)]
mod iommu_group;
mod outgoing;
mod preserve;
mod reach;
mod removal;
mod state;
mod stop;
#[cfg(CONFIG_PCI_LIVEUPDATE_CHECK)]
mod tests;
mod validate;

struct PciLiveupdate {
    _debugfs: Pin<KBox<debugfs::Files>>,
    #[cfg(CONFIG_PCI_LIVEUPDATE_BENCH)]
    _bench: Pin<KBox<bench::Bench>>,
}

impl kernel::Module for PciLiveupdate {
    fn init(_module: &'static ThisModule) -> Result<Self> {
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
