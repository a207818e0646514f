// SPDX-License-Identifier: GPL-2.0

//! The functions that drivers call.
//!
//! The only place of the crate where devices come in as raw pointers. What the functions for
//! drivers of devices do is documented in `include/linux/iommu_liveupdate.h`.

use crate::{
    abi::Record,
    adopt,
    flb::FLB,
    restored, //
};
use kernel::{
    bindings,
    device::Device,
    error::{
        from_result,
        to_result, //
    },
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*, //
};

/// # Safety
///
/// `fh` must be a registered file handler, which stays valid until it is unregistered.
#[export]
unsafe extern "C" fn iommu_liveupdate_register_flb(
    fh: *mut bindings::liveupdate_file_handler,
) -> c_int {
    // SAFETY: The caller guarantees what `fh` is, and `FLB` is static.
    unsafe { bindings::liveupdate_register_flb(fh, FLB.as_raw()) }
}

fn preserve(dev: &Device) -> Result {
    let data = FLB.outgoing()?;
    let mut outgoing = data.lock();
    let most = outgoing.len() + 1;

    outgoing.as_mut().reserve(most)?;
    outgoing.as_mut().state().preserve(dev)
}

/// # Safety
///
/// `dev` must point to a valid device, and its page table must not be changed before
/// [`iommu_liveupdate_unpreserve`].
#[export]
unsafe extern "C" fn iommu_liveupdate_preserve(dev: *mut bindings::device) -> c_int {
    // SAFETY: The caller guarantees that the device is valid.
    let dev = unsafe { Device::from_raw(dev) };

    from_result(|| preserve(dev).map(|()| 0))
}

/// # Safety
///
/// `dev` must point to a valid device.
#[export]
unsafe extern "C" fn iommu_liveupdate_unpreserve(dev: *mut bindings::device) {
    // SAFETY: The caller guarantees that the device is valid.
    let dev = unsafe { Device::from_raw(dev) };

    if let Ok(data) = FLB.outgoing() {
        data.lock().as_mut().state().unpreserve(dev);
    }
}

/// # Safety
///
/// `dev` must point to a valid device.
#[export]
unsafe extern "C" fn iommu_liveupdate_freeze(dev: *mut bindings::device) -> c_int {
    // SAFETY: The caller guarantees that the device is valid.
    let dev = unsafe { Device::from_raw(dev) };

    from_result(|| {
        FLB.outgoing()?.lock().as_mut().state().check(dev)?;
        Ok(0)
    })
}

/// # Safety
///
/// `dev` must point to a valid device.
#[export]
unsafe extern "C" fn iommu_liveupdate_is_preserved(dev: *mut bindings::device) -> bool {
    // SAFETY: The caller guarantees that the device is valid.
    let dev = unsafe { Device::from_raw(dev) };

    FLB.outgoing().is_ok_and(|data| {
        let outgoing = data.lock();

        outgoing.is_frozen() && outgoing.has(dev)
    })
}

/// Calls `f` for each device that was handed over behind the IOMMU whose registers are at `unit`,
/// and that may be doing DMA by it; it gives 0, or an error if it can't let the device go on, which
/// is logged.
///
/// Context: May sleep. Before anything else is attached to the IOMMU.
///
/// # Safety
///
/// `f` must be a function that can be called with `arg`.
#[export]
unsafe extern "C" fn iommu_liveupdate_for_each_device(
    unit: u64,
    f: Option<unsafe extern "C" fn(*const bindings::iommu_device_ser, *mut c_void) -> c_int>,
    arg: *mut c_void,
) {
    let Some(f) = f else {
        return;
    };

    adopt::for_each_device(unit, |record| {
        let device = record.in_c();

        // SAFETY: The caller guarantees that it can be called with `arg`.
        to_result(unsafe { f(&device, arg) })
    });
}

/// Takes note that an IOMMU has the page table of a device that was handed over.
///
/// Context: May sleep. One IOMMU after the other.
///
/// # Safety
///
/// `device` must point to a valid record.
#[export]
unsafe extern "C" fn iommu_liveupdate_use_table(
    device: *const bindings::iommu_device_ser,
) -> c_int {
    // SAFETY: The caller guarantees that it is valid.
    let record = Record::new(unsafe { &*device });

    from_result(|| restored::use_table(&record).map(|()| 0))
}

/// Takes note that a domain of an IOMMU has the page table of a device no more, and frees it with
/// the last one, unless hardware may still have it.
///
/// Context: May sleep.
///
/// # Safety
///
/// `device` must point to a valid record, which was passed to [`iommu_liveupdate_use_table`]. If
/// `free` is set, hardware has no use for the page table by way of this domain.
#[export]
unsafe extern "C" fn iommu_liveupdate_unuse_table(
    device: *const bindings::iommu_device_ser,
    free: bool,
) {
    // SAFETY: The caller guarantees that it is valid.
    restored::unuse_table(&Record::new(unsafe { &*device }), free);
}

/// # Safety
///
/// It is safe to call; that it is declared otherwise is for older compilers, to which all functions
/// that C has declared are unsafe.
#[export]
unsafe extern "C" fn iommu_liveupdate_is_any_restored() -> bool {
    restored::is_any_in_use()
}

/// # Safety
///
/// `next` must be a function that can be called with `arg`, and writes to what its other arguments
/// point to if it gives true.
#[export]
unsafe extern "C" fn iommu_liveupdate_is_mapped(
    next: Option<unsafe extern "C" fn(*mut c_void, *mut u64, *mut u64) -> bool>,
    arg: *mut c_void,
) -> bool {
    let Some(next) = next else {
        return false;
    };
    let ranges = core::iter::from_fn(|| {
        let (mut address, mut size) = (0, 0);

        // SAFETY: The caller guarantees that it can be called with `arg`, and both can be written
        // to.
        unsafe { next(arg, &mut address, &mut size) }.then(|| address..address + size)
    });

    restored::is_mapped(ranges).unwrap_or(true)
}
