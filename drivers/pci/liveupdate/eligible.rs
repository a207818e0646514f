// SPDX-License-Identifier: GPL-2.0

//! What a device must be like to be preserved.

use crate::state::Device;
use kernel::{
    bindings,
    prelude::*, //
};

impl Device<'_> {
    /// Tells whether the device is of a kind that can be preserved. Logs why not.
    ///
    /// Context: May sleep. Takes the lock of the IOMMU group.
    pub(crate) fn check_eligible(self) -> Result {
        if self.is_virtual_function() {
            dev_warn!(
                self.as_dev(),
                "liveupdate: a virtual function cannot be preserved\n"
            );
            return Err(EINVAL);
        }
        if self.is_bridge() {
            dev_warn!(
                self.as_dev(),
                "liveupdate: a bridge is preserved with the devices below it, not by itself\n"
            );
            return Err(EINVAL);
        }

        // SAFETY: The device is valid.
        if unsafe { bindings::pci_real_dma_dev(self.as_raw()) } != self.as_raw() {
            dev_warn!(
                self.as_dev(),
                "liveupdate: cannot be preserved: another device does its DMA\n"
            );
            return Err(EINVAL);
        }
        if let Some(quirky) = self.path().find(|device| device.needs_acs_quirk()) {
            dev_warn!(
                self.as_dev(),
                "liveupdate: cannot be preserved: {} needs a device-specific ACS quirk\n",
                quirky.address()
            );
            return Err(EINVAL);
        }

        #[cfg(CONFIG_IOMMU_API)]
        self.check_iommu_group()?;
        Ok(())
    }
}
