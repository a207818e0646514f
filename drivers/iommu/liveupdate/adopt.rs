// SPDX-License-Identifier: GPL-2.0

//! Devices that were handed over, as the driver of their IOMMU asks for them.

use crate::{
    abi::Record,
    flb::FLB, //
};
use kernel::prelude::*;

/// Calls `f` for each device of the IOMMU whose registers are at `unit`. It says whether it could
/// do something with it.
pub(crate) fn for_each_device(unit: u64, mut f: impl FnMut(&Record) -> Result) {
    let records = match FLB.incoming() {
        Ok(records) => records,
        // No kernel has handed anything over, or no device that is translated.
        Err(_) => return,
    };
    let Ok(records) = records.object() else {
        return;
    };

    for device in records.iter().filter(|device| device.record.unit == unit) {
        let record = &device.record;
        let result = if record.is_valid() {
            f(record)
        } else {
            Err(EINVAL)
        };

        device.set_outcome(result);
        match result {
            Ok(()) => pr_info!("{record}: its translation goes on\n"),
            Err(error) => pr_err!(
                "{record}: its translation ends: error {}\n",
                error.to_errno()
            ),
        }
    }
}
