// SPDX-License-Identifier: GPL-2.0

//! Access Control Services that stay.
//!
//! The ACS controls of a device and of the bridges above it decide where its DMA goes, and with
//! whom it shares an IOMMU group. They are adopted when a preserved device is found, and kept until
//! it goes away.

use crate::{
    incoming::records,
    state::Device, //
};
use kernel::{
    bindings,
    ffi::c_int,
    prelude::*,
    sync::atomic::Relaxed, //
};

impl Device<'_> {
    /// Whether a quirk, and not the ACS capability alone, controls what the device does.
    pub(crate) fn needs_acs_quirk(self) -> bool {
        // SAFETY: The device is valid.
        unsafe { bindings::pci_liveupdate_needs_acs_quirk(self.as_raw()) }
    }

    /// Where the ACS controls are in config space, if the device has any.
    fn acs_register(self) -> Option<c_int> {
        // SAFETY: The device is valid. The field is set before we are called.
        let capability = unsafe { (*self.as_raw()).acs_cap };

        (capability != 0).then(|| c_int::from(capability) + bindings::PCI_ACS_CTRL as c_int)
    }

    /// Adopts the ACS controls that the previous kernel left, or, if the device was removed since,
    /// those that it had then.
    pub(crate) fn adopt_acs(self) {
        if self.needs_acs_quirk() {
            dev_warn!(
                self.as_dev(),
                "liveupdate: needs a device-specific ACS quirk: its ACS controls are set anew\n"
            );
            return;
        }
        let Some(Ok(found)) = self.acs_register().map(|offset| self.read_word(offset)) else {
            return;
        };
        let controls = records()
            .and_then(|records| records.lock().removed_acs(self))
            .unwrap_or(found);
        // What a quirk takes for broken is not switched on again.
        //
        // SAFETY: The device is valid, and the field was set with that of the capability.
        let controls = controls & unsafe { (*self.as_raw()).acs_capabilities };

        self.acs_controls().store(controls as i16, Relaxed);
        self.keeps_acs().store(true, Relaxed);
    }

    /// Sees to it that the device has the ACS controls that it keeps.
    pub(crate) fn write_acs(self) {
        let (Some(controls), Some(offset)) = (self.kept_acs(), self.acs_register()) else {
            return;
        };

        if self.read_word(offset) != Ok(controls) {
            // An error means that there is no device any more.
            //
            // SAFETY: The device is valid.
            unsafe { bindings::pci_write_config_word(self.as_raw(), offset, controls) };
        }
    }
}
