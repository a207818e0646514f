// SPDX-License-Identifier: GPL-2.0

//! A device, as far as its IOMMU is concerned.

use crate::abi::Record;
use core::mem::MaybeUninit;
use kernel::{
    bindings,
    device,
    error::from_err_ptr,
    prelude::*, //
};

/// What hardware reads of a device, before it comes to the page table.
pub(crate) struct Described {
    pub(crate) record: Record,
    folios: [u64; 5],
    nr_folios: usize,
}

impl Described {
    /// The physical addresses of the folios that it reads.
    pub(crate) fn folios(&self) -> impl Iterator<Item = u64> + '_ {
        self.folios.iter().copied().take(self.nr_folios)
    }
}

/// The C structure.
pub(crate) fn as_raw(dev: &device::Device) -> *mut bindings::device {
    // `Device` is a transparent wrapper of it.
    core::ptr::from_ref(dev).cast_mut().cast()
}

/// What hardware reads of a device. If it can't go on without this kernel, the log says why.
///
/// Context: May sleep. Takes the mutex of the device's group.
///
/// # Errors
///
/// `EOPNOTSUPP`, `ENOMEM`.
pub(crate) fn describe(dev: &device::Device) -> Result<Described> {
    let mut desc = MaybeUninit::<bindings::iommu_liveupdate_desc>::zeroed();

    // SAFETY: The device is valid, and `desc` can be written to.
    let why = unsafe { bindings::iommu_liveupdate_describe(as_raw(dev), desc.as_mut_ptr()) };
    let why = from_err_ptr(why.cast_mut())?;

    if !why.is_null() {
        // SAFETY: It is a string that is there for good.
        let why = unsafe { CStr::from_char_ptr(why) };

        dev_warn!(dev, "liveupdate: its DMA cannot go on: {}\n", why);
        return Err(EOPNOTSUPP);
    }

    // SAFETY: All of it is integers.
    let desc = unsafe { desc.assume_init() };

    Ok(Described {
        record: Record::new(&desc.device),
        folios: desc.folio,
        nr_folios: desc.nr_folios as usize,
    })
}

/// Says whether translation of a device is to go on when the kernel is replaced.
///
/// Only of a device that could be described.
pub(crate) fn keep(dev: &device::Device, keep: bool) {
    // SAFETY: The device is valid.
    unsafe { bindings::iommu_liveupdate_keep(as_raw(dev), keep) };
}
