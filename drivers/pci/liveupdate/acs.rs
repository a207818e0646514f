// SPDX-License-Identifier: GPL-2.0

//! Access Control Services that stay.
//!
//! The ACS controls of a device and of the bridges above it decide where its DMA goes, and with
//! whom it shares an IOMMU group. They are adopted when a preserved device is found, and kept until
//! it goes away.

use crate::{
    device::Device,
    removed, //
};
use kernel::{
    bindings,
    ffi::c_int,
    prelude::*, //
};

impl Device<'_> {
    /// Whether a quirk, and not the ACS capability alone, controls what the device does.
    pub(crate) fn needs_acs_quirk(self) -> bool {
        // SAFETY: The device is valid.
        unsafe { bindings::pci_dev_specific_acs(self.as_raw()) }
    }

    /// Where the ACS controls are in config space, if the device has any.
    fn acs_controls(self) -> Option<c_int> {
        // SAFETY: The device is valid. The field is set before we are called.
        let capability = unsafe { (*self.as_raw()).acs_cap };

        (capability != 0).then(|| c_int::from(capability) + bindings::PCI_ACS_CTRL as c_int)
    }

    pub(crate) fn read_word(self, offset: c_int) -> Result<u16> {
        let mut word = 0;

        // SAFETY: The device is valid, and `word` can be written to.
        match unsafe { bindings::pci_read_config_word(self.as_raw(), offset, &mut word) } {
            0 => Ok(word),
            _ => Err(EIO),
        }
    }

    /// Adopts the ACS controls that the previous kernel left, or, if the device was removed since,
    /// those that it had then.
    ///
    /// # Safety
    ///
    /// Nobody else may use the device yet.
    pub(crate) unsafe fn adopt_acs(self) {
        if self.needs_acs_quirk() {
            dev_warn!(
                self.as_dev(),
                "liveupdate: needs a device-specific ACS quirk: its ACS controls are set anew\n"
            );
            return;
        }
        let Some(Ok(found)) = self.acs_controls().map(|offset| self.read_word(offset)) else {
            return;
        };
        let controls = removed::acs(self).unwrap_or(found);

        // SAFETY: By the safety requirements nobody else accesses the fields, which don't change
        // after that.
        unsafe {
            // What a quirk takes for broken is not switched on again.
            (*self.as_raw()).liveupdate_acs_ctrl = controls & (*self.as_raw()).acs_capabilities;
            (*self.as_raw()).liveupdate_keeps_acs = true;
        }
    }

    /// The ACS controls that the device keeps, if any.
    pub(crate) fn kept_acs(self) -> Option<u16> {
        // SAFETY: The device is valid. The fields don't change once it is set up.
        unsafe {
            (*self.as_raw())
                .liveupdate_keeps_acs
                .then_some((*self.as_raw()).liveupdate_acs_ctrl)
        }
    }

    /// Sees to it that the device has the ACS controls that it keeps.
    ///
    /// # Safety
    ///
    /// The device must have adopted some.
    pub(crate) unsafe fn write_acs(self) {
        // SAFETY: By the safety requirements the field was set, and it doesn't change.
        let controls = unsafe { (*self.as_raw()).liveupdate_acs_ctrl };
        let Some(offset) = self.acs_controls() else {
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
