// SPDX-License-Identifier: GPL-2.0

//! IOMMU Live Update: translation that goes on while the kernel is replaced.
//!
//! A device that does DMA in that time must reach what it could reach before, and nothing else. So
//! its IOMMU stays on, the page tables stay as they are, and what they map is left alone. This
//! crate decides of which devices that is so, sees to it that the next kernel leaves alone what
//! hardware reads and writes, and tells it of each; and in that kernel it reads what it was told.
//! What has to be done to the hardware is up to the drivers of IOMMUs, in C.
//!
//! - [`hooks`]: the functions that drivers call.
//! - [`abi`]: the format in which it is handed over.
//! - [`device`]: a device, as far as its IOMMU is concerned.
//! - [`outgoing`]: what this kernel hands over.
//! - [`incoming`]: what this kernel was handed.
//! - [`adopt`]: which of it is for which IOMMU.
//! - [`restored`]: page tables of the previous kernel that hardware still has.
//! - [`table`]: page tables, as hardware reads them.
//! - [`flb`]: what the Live Update Orchestrator calls.
//! - [`debugfs`]: all of this, for people to see.
//!
//! # Locks
//!
//! From the outside in, in the old kernel: what LUO holds when it calls a driver, vfio-pci's lock
//! of its devices, an iommufd's lock of a group, LUO's mutex of the outgoing data, the lock of that
//! data, the mutex of an IOMMU group, those of KHO and of what the kernel allocates memory with.
//!
//! In the new one: `dmar_global_lock`, or the mutex of an IOMMU group; `restored_lock` in
//! `intel/liveupdate.c`, with which LUO's mutex of the incoming data is not taken; `did_lock` of
//! the unit, and the lock of page tables that are in use; KHO's. Who reads debugfs tries the lock
//! with which devices are added and removed, and takes that of an IOMMU group after it.
//!
//! C header: [`include/linux/iommu_liveupdate.h`](srctree/include/linux/iommu_liveupdate.h)

use kernel::prelude::*;

mod abi;
mod adopt;
mod debugfs;
mod device;
mod flb;
mod hooks;
mod incoming;
mod outgoing;
mod restored;
mod table;
#[cfg(CONFIG_IOMMU_LIVEUPDATE_KUNIT_TEST)]
mod tests;

struct IommuLiveupdate {
    _debugfs: Pin<KBox<debugfs::Files>>,
}

impl kernel::Module for IommuLiveupdate {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        Ok(Self {
            _debugfs: KBox::pin_init(debugfs::Files::new(), GFP_KERNEL)?,
        })
    }
}

kernel::prelude::module! {
    type: IommuLiveupdate,
    name: "iommu_liveupdate",
    authors: ["PCI Live Update"],
    description: "Keep DMA translated across a live update",
    license: "GPL",
}
