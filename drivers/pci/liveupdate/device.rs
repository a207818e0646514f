// SPDX-License-Identifier: GPL-2.0

//! A PCI device, and its records for the next kernel and by the previous one.

use crate::{
    deferred,
    record::{
        Address,
        Record, //
    },
    Records,
    RECORDS, //
};
use core::ptr::{
    null_mut,
    NonNull, //
};
use kernel::{
    bindings,
    device,
    error::{
        from_result,
        to_result, //
    },
    ffi::{
        c_int,
        c_void, //
    },
    kho::Entry,
    liveupdate::IncomingRef,
    pci,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Full,
            Relaxed,
            Release, //
        }, //
    }, //
};

/// A reference to a `struct pci_dev`.
///
/// # Invariants
///
/// - `liveupdate_outgoing` of the device is null, or a slot of the outgoing records that is in use
///   for the device, which is then one of [`Slots::devices`](crate::outgoing::Slots::devices). It
///   is written with the outgoing records locked.
/// - `liveupdate_incoming` of the device is null, or a record of the incoming data, to which the
///   device then owns a detached reference.
#[derive(Clone, Copy)]
pub(crate) struct Device<'a>(&'a pci::Device);

impl<'a> Device<'a> {
    /// # Safety
    ///
    /// `dev` must point to a device that is valid for `'a`.
    pub(crate) unsafe fn from_raw(dev: *mut bindings::pci_dev) -> Self {
        // SAFETY: By the safety requirements; `pci::Device` has the layout of what it wraps.
        Self::new(unsafe { &*dev.cast() })
    }

    pub(crate) fn new(dev: &'a pci::Device) -> Self {
        // INVARIANT: Nobody but this type writes to the two pointers, and they start out as null.
        Self(dev)
    }

    fn as_raw(self) -> *mut bindings::pci_dev {
        // `pci::Device` is a transparent wrapper of what C may change.
        core::ptr::from_ref(self.0).cast_mut().cast()
    }

    /// The generic device, for messages.
    pub(crate) fn as_dev(self) -> &'a device::Device {
        self.0.as_ref()
    }

    pub(crate) fn address(self) -> Address {
        // SAFETY: By the type invariant the device is valid. Its bus and number never change.
        let (domain, bdf) = unsafe {
            (
                bindings::pci_domain_nr((*self.as_raw()).bus),
                bindings::pci_dev_id(self.as_raw()),
            )
        };

        Address {
            // CAST: Domain numbers are not negative.
            domain: domain as u32,
            bdf,
        }
    }

    fn is_virtual_function(self) -> bool {
        // SAFETY: By the type invariant the device is valid; the field is set when it is created.
        unsafe { (*self.as_raw()).is_virtfn() != 0 }
    }

    fn outgoing(&self) -> &Atomic<*mut bindings::pci_dev_ser> {
        // SAFETY: By the type invariant the device is valid. The field is only accessed like this,
        // and by `READ_ONCE()` in C.
        unsafe { Atomic::from_ptr(&raw mut (*self.as_raw()).liveupdate_outgoing) }
    }

    fn incoming(&self) -> &Atomic<*mut bindings::pci_dev_ser> {
        // SAFETY: As above.
        unsafe { Atomic::from_ptr(&raw mut (*self.as_raw()).liveupdate_incoming) }
    }

    pub(crate) fn is_outgoing(self) -> bool {
        !self.outgoing().load(Relaxed).is_null()
    }

    /// Records the device for the next kernel.
    pub(crate) fn preserve(self) -> Result {
        if self.is_virtual_function() {
            dev_warn!(
                self.as_dev(),
                "liveupdate: a virtual function cannot be preserved\n"
            );
            return Err(EINVAL);
        }

        let outgoing = RECORDS.outgoing()?;
        let mut slots = outgoing.lock();

        // `EBUSY` when there is one at this address.
        slots.as_mut().attach(self)?;
        let record = match slots.as_mut().insert(self.address(), 1) {
            Ok(record) => core::ptr::from_ref(record).cast_mut(),
            Err(error) => {
                slots.as_mut().detach(self);
                return Err(error);
            }
        };

        // Who finds the pointer finds the record filled in.
        //
        // INVARIANT: The slot was just put in use for the device, which was attached.
        self.outgoing().store(record.cast(), Release);
        dev_info!(self.as_dev(), "liveupdate: preserved for the next kernel\n");
        Ok(())
    }

    /// Takes back [`Device::preserve`].
    pub(crate) fn unpreserve(self) {
        if self.try_unpreserve().is_err() {
            dev_warn!(
                self.as_dev(),
                "liveupdate: cannot unpreserve: not preserved\n"
            );
        }
    }

    fn try_unpreserve(self) -> Result {
        let outgoing = RECORDS.outgoing()?;
        let mut slots = outgoing.lock();
        // SAFETY: The records are locked, and don't go away meanwhile.
        let record = unsafe { self.forget_outgoing() }.ok_or(ENOENT)?;

        // SAFETY: The slot was in use for the device until now, and isn't any more. The outgoing
        // records are those that it is of, as the device was attached to them, and they detach all
        // devices when they go away.
        unsafe { slots.as_mut().remove(record) };
        slots.as_mut().detach(self);
        dev_info!(
            self.as_dev(),
            "liveupdate: no longer preserved for the next kernel\n"
        );
        Ok(())
    }

    /// Takes its outgoing record from the device.
    ///
    /// # Safety
    ///
    /// The outgoing records must be locked, or be on their way out. The result must not be used
    /// when they are gone.
    pub(crate) unsafe fn forget_outgoing(self) -> Option<Entry<Record>> {
        // INVARIANT: Null is fine.
        let record = NonNull::new(self.outgoing().xchg(null_mut(), Relaxed))?;

        // SAFETY: By the type invariant this is a slot of the outgoing records. The caller sees to
        // it that they are there.
        Some(unsafe { Entry::from_raw(record.cast()) })
    }

    /// Makes the device incoming if `incoming` has a record of it that isn't finished.
    pub(crate) fn adopt(self, incoming: IncomingRef<Records>) {
        let Ok(records) = incoming.object() else {
            return;
        };
        let Some(record) = records.find(self.address()) else {
            return;
        };

        // INVARIANT: The reference is the device's from now on.
        self.incoming()
            .store(core::ptr::from_ref(record).cast_mut().cast(), Relaxed);
        incoming.detach();
        dev_info!(
            self.as_dev(),
            "liveupdate: preserved by the previous kernel\n"
        );
    }

    /// Takes its incoming record from the device.
    fn forget_incoming(self) -> Option<Held> {
        // INVARIANT: Null is fine. One caller gets the record, and with it the device's reference.
        NonNull::new(self.incoming().xchg(null_mut(), Full)).map(|record| Held(record.cast()))
    }

    /// The driver has the device back: it is an ordinary one from now on.
    pub(crate) fn finish(self) {
        let Some(held) = self.forget_incoming() else {
            dev_warn!(self.as_dev(), "liveupdate: cannot finish: not incoming\n");
            return;
        };

        // The device may be removed and found again while the incoming data is still there.
        held.record().set_refcount(0);
        dev_info!(self.as_dev(), "liveupdate: finished\n");
    }

    /// The device goes away. Its incoming record stays, so that it is incoming when it comes
    /// again.
    ///
    /// An outgoing device doesn't go away, as the outgoing records have a reference to it.
    ///
    /// Context: Any context: the last reference to a device may be dropped anywhere.
    pub(crate) fn cleanup(self) {
        if let Some(held) = self.forget_incoming() {
            held.put_soon();
        }
    }

    /// Whether userspace may unbind the device from its driver.
    pub(crate) fn may_unbind(self) -> Result {
        if self.is_outgoing() {
            dev_warn!(
                self.as_dev(),
                "liveupdate: cannot be unbound or removed: preserved for the next kernel\n"
            );
            return Err(EBUSY);
        }
        Ok(())
    }

    /// Whether userspace may remove the device, and with it all that is below it.
    pub(crate) fn may_remove(self) -> Result {
        /// # Safety
        ///
        /// `dev` must be a valid device, and `result` a valid errno.
        unsafe extern "C" fn refuse(dev: *mut bindings::pci_dev, result: *mut c_void) -> c_int {
            // SAFETY: By the safety requirements.
            let may = unsafe { Device::from_raw(dev) }.may_unbind();

            from_result(|| {
                // SAFETY: By the safety requirements.
                may.inspect_err(|error| unsafe { *result.cast() = error.to_errno() })?;
                Ok(0)
            })
        }

        self.may_unbind()?;

        // SAFETY: By the type invariant the device is valid. The caller holds a reference to it,
        // and with it to the bus below it, if any.
        let bus = unsafe { (*self.as_raw()).subordinate };
        let mut result = 0;

        if !bus.is_null() {
            // SAFETY: The bus is valid. It is locked while `refuse()` is called with its devices.
            unsafe {
                bindings::pci_walk_bus(bus, Some(refuse), (&raw mut result).cast());
            }
        }
        to_result(result)
    }

    /// A reference of its own to the device.
    pub(crate) fn get(self) -> ARef<pci::Device> {
        self.0.into()
    }
}

/// The incoming record that a device had, and with it the device's reference to the incoming data.
///
/// Dropping it gives back the reference.
///
/// # Invariants
///
/// The pointer is to a record of the incoming data, to which the object owns a detached reference.
struct Held(NonNull<Record>);

impl Held {
    fn record(&self) -> &Record {
        // SAFETY: By the type invariant.
        unsafe { self.0.as_ref() }
    }

    /// Gives back the reference where that can't be done at once.
    fn put_soon(self) {
        core::mem::forget(self);
        // SAFETY: By the type invariant there was a reference, and nobody else gives it back.
        unsafe { deferred::put_incoming() };
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is ours to give back.
        unsafe { RECORDS.put_detached() };
    }
}

/// Calls `f` with the name of the driver of the device at `address`.
///
/// Context: May sleep. Takes the lock of the device.
pub(crate) fn with_driver_name<R>(address: Address, f: impl FnOnce(&CStr) -> R) -> R {
    // SAFETY: The function accepts any address.
    let dev = unsafe {
        bindings::pci_get_domain_bus_and_slot(
            address.domain as c_int,
            address.bus().into(),
            address.devfn().into(),
        )
    };
    let Some(dev) = NonNull::new(dev) else {
        return f(c"none");
    };

    // SAFETY: The function gave us a reference to the device.
    let dev: ARef<pci::Device> = unsafe { ARef::from_raw(dev.cast()) };
    let raw = Device::new(&dev).as_raw();

    // SAFETY: We have a reference to the device.
    unsafe { bindings::device_lock(&raw mut (*raw).dev) };
    // SAFETY: With its lock held the device keeps its driver.
    let driver = unsafe { (*raw).dev.driver };
    let result = if driver.is_null() {
        f(c"none")
    } else {
        // SAFETY: As long as the device has the driver, this is valid, and the name a C string.
        f(unsafe { CStr::from_char_ptr((*driver).name) })
    };
    // SAFETY: We locked it.
    unsafe { bindings::device_unlock(&raw mut (*raw).dev) };

    result
}
