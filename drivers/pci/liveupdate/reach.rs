// SPDX-License-Identifier: GPL-2.0

//! What devices can reach while there is no kernel.
//!
//! When the kernel is replaced, IOMMUs are switched off. A device whose addresses they translate
//! would write to where it was never allowed to, unless its translation is handed over, too.

use crate::{
    outgoing,
    state::Device, //
};
use kernel::{
    bindings,
    prelude::*,
    sync::atomic::Relaxed, //
};

impl Device<'_> {
    fn is_translated(self) -> bool {
        // SAFETY: The device is valid.
        unsafe { bindings::iommu_is_dma_translated(self.as_generic()) }
    }

    /// Whether its IOMMU stays on, for it.
    fn stays_translated(self) -> bool {
        // SAFETY: The device is valid.
        unsafe { bindings::iommu_liveupdate_is_preserved(self.as_generic()) }
    }

    /// Whether bus mastering stays on while the kernel is replaced: in a bridge, if it does in a
    /// device below, which is asked first, as it is shut down first.
    pub(crate) fn keeps_master_in_jump(self) -> bool {
        if !self.is_outgoing() || !outgoing::is_written() {
            return false;
        }
        if self.is_bridge() {
            return self.needed().load(Relaxed);
        }
        if !self.is_translated() || self.stays_translated() {
            for bridge in self.upstream_bridges() {
                bridge.needed().store(true, Relaxed);
            }
            return true;
        }
        if self.is_bus_master() {
            dev_warn!(
                self.as_dev(),
                "liveupdate: an IOMMU translates its DMA: bus mastering is off \
                 until its driver switches it on\n"
            );
        }
        false
    }
}
