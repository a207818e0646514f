// SPDX-License-Identifier: GPL-2.0

//! A PCI device, and its records for the next kernel and by the previous one.

use crate::{
    incoming,
    record::{
        Address,
        Record, //
    },
    removed,
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
    ffi::c_int,
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
///   device then owns a detached reference. It is null in bridges, which are not what keeps the
///   incoming data.
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

    pub(crate) fn as_raw(self) -> *mut bindings::pci_dev {
        // `pci::Device` is a transparent wrapper of what C may change.
        core::ptr::from_ref(self.0).cast_mut().cast()
    }

    /// The generic device, for messages.
    pub(crate) fn as_dev(self) -> &'a device::Device {
        self.0.as_ref()
    }

    /// Where the device is. Not to be asked of one that was removed.
    pub(crate) fn address(self) -> Address {
        // SAFETY: By the type invariant the device is valid. Its bus and number never change, and
        // the host bridge that knows the domain is there as long as the device is not removed.
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

    pub(crate) fn is_virtual_function(self) -> bool {
        // SAFETY: By the type invariant the device is valid; the field is set when it is created.
        unsafe { (*self.as_raw()).is_virtfn() != 0 }
    }

    /// Whether it was removed from its bus, or is just being removed.
    pub(crate) fn is_removed(self) -> bool {
        // SAFETY: By the type invariant the device is valid.
        unsafe { bindings::pci_dev_is_removed(self.as_raw()) }
    }

    /// Whether it is known to be out of its slot.
    pub(crate) fn is_disconnected(self) -> bool {
        // SAFETY: By the type invariant the device is valid.
        unsafe { bindings::pci_dev_is_disconnected(self.as_raw()) }
    }

    /// Whether a driver is bound to it. It may lose the driver at any moment.
    pub(crate) fn has_driver(self) -> bool {
        // SAFETY: By the type invariant the device is valid. It may be written to meanwhile, but
        // not in parts, and only whether it is null is looked at.
        !unsafe { (&raw const (*self.as_raw()).driver).read_volatile() }.is_null()
    }

    /// Whether this is a bridge to another PCI bus.
    pub(crate) fn is_bridge(self) -> bool {
        // SAFETY: By the type invariant the device is valid. The field is set before the device
        // is set up.
        let header = unsafe { (*self.as_raw()).hdr_type };

        u32::from(header) == bindings::PCI_HEADER_TYPE_BRIDGE
    }

    /// The bridges above the device, from the closest one up to the root.
    pub(crate) fn upstream_bridges(self) -> impl Iterator<Item = Device<'a>> {
        self.path().skip(1)
    }

    /// The device itself, and the bridges above it.
    ///
    /// Also of a device that was removed: the way up is that on which it was.
    pub(crate) fn path(self) -> impl Iterator<Item = Device<'a>> {
        fn above(device: Device<'_>) -> Option<Device<'_>> {
            // SAFETY: By the type invariant the device is valid. It has a reference to its bus,
            // and that one has one to its bridge, so the result lives as long as the device.
            let bridge = unsafe { bindings::pci_upstream_bridge(device.as_raw()) };

            // SAFETY: As above.
            (!bridge.is_null()).then(|| unsafe { Device::from_raw(bridge) })
        }

        core::iter::successors(Some(self), |device| above(*device))
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

    /// Set in a bridge that has a record of the previous kernel which isn't finished, if there is
    /// incoming data at all.
    fn incoming_bridge(&self) -> &Atomic<bool> {
        // SAFETY: As above; this field is not accessed by C.
        unsafe { Atomic::from_ptr(&raw mut (*self.as_raw()).liveupdate_incoming_bridge) }
    }

    pub(crate) fn is_outgoing(self) -> bool {
        !self.outgoing().load(Relaxed).is_null()
    }

    /// Whether `record` is the device's record for the next kernel.
    #[cfg(CONFIG_PCI_LIVEUPDATE_CHECK)]
    pub(crate) fn points_out_to(self, record: &Record) -> bool {
        core::ptr::eq(self.outgoing().load(Relaxed).cast(), record)
    }

    /// Whether `record` is the device's record by the previous kernel; `None` if it has to have
    /// none of its own.
    #[cfg(CONFIG_PCI_LIVEUPDATE_CHECK)]
    pub(crate) fn points_in_to(self, record: Option<&Record>) -> bool {
        let expected = record.map_or(core::ptr::null(), core::ptr::from_ref);

        core::ptr::eq(self.incoming().load(Relaxed).cast(), expected)
    }

    /// Whether this is the same device as `other`.
    #[cfg(CONFIG_PCI_LIVEUPDATE_CHECK)]
    pub(crate) fn is(self, other: Device<'_>) -> bool {
        self.as_raw() == other.as_raw()
    }

    /// The device's record for the next kernel.
    ///
    /// # Safety
    ///
    /// The outgoing records must be locked. The result must not be used when they are not any
    /// more.
    pub(crate) unsafe fn outgoing_record(self) -> Option<Entry<Record>> {
        let record = NonNull::new(self.outgoing().load(Relaxed))?;

        // SAFETY: By the type invariant this is a slot of the outgoing records, which don't go
        // away while they are locked.
        Some(unsafe { Entry::from_raw(record.cast()) })
    }

    /// Gives the device another record for the next kernel, or none.
    ///
    /// # Safety
    ///
    /// - The outgoing records must be locked, or be on their way out.
    /// - The record must be one of them, in use for the device, which must be one of
    ///   [`Slots::devices`](crate::outgoing::Slots::devices).
    pub(crate) unsafe fn set_outgoing_record(self, record: Option<Entry<Record>>) {
        let record = record.map_or(null_mut(), |record| record.into_raw().cast().as_ptr());

        // Who finds the pointer finds the record filled in.
        //
        // INVARIANT: By the safety requirements.
        self.outgoing().store(record, Release);
    }

    /// Records the device for the next kernel, and the bridges above it.
    pub(crate) fn preserve(self) -> Result {
        self.check_preservable()?;

        let outgoing = RECORDS.outgoing()?;
        let mut slots = outgoing.lock();

        if self.is_removed() || !self.has_driver() {
            return Err(ENODEV);
        }
        if slots.is_frozen() {
            dev_warn!(
                self.as_dev(),
                "liveupdate: cannot be preserved: the next kernel is on its way\n"
            );
            return Err(EBUSY);
        }

        slots.as_mut().preserve(self)?;
        for device in self.path() {
            // SAFETY: The records are locked.
            if unsafe { device.outgoing_record() }.is_some_and(|record| record.refcount() == 1) {
                dev_info!(
                    device.as_dev(),
                    "liveupdate: preserved for the next kernel\n"
                );
            }
        }
        Ok(())
    }

    /// Takes back [`Device::preserve`].
    pub(crate) fn unpreserve(self) -> Result {
        self.try_unpreserve().map_err(|error| match error {
            EBUSY => {
                dev_warn!(
                    self.as_dev(),
                    "liveupdate: cannot unpreserve: the next kernel is on its way\n"
                );
                EBUSY
            }
            _ => {
                dev_warn!(
                    self.as_dev(),
                    "liveupdate: cannot unpreserve: not preserved\n"
                );
                ENOENT
            }
        })
    }

    fn try_unpreserve(self) -> Result {
        let outgoing = RECORDS.outgoing()?;
        let mut slots = outgoing.lock();

        // A bridge is not preserved by itself.
        if self.is_bridge() {
            return Err(ENOENT);
        }
        if slots.is_frozen() {
            return Err(EBUSY);
        }

        slots.as_mut().unpreserve(self, |device| {
            dev_info!(
                device.as_dev(),
                "liveupdate: no longer preserved for the next kernel\n"
            );
        })
    }

    /// Makes the device incoming if `incoming` has a record of it that isn't finished.
    pub(crate) fn adopt(self, incoming: IncomingRef<Records>) {
        let Ok(records) = incoming.object() else {
            return;
        };
        let address = self.address();

        // Most devices have none, which needs no lock to see. And a virtual function is never
        // preserved, whatever the records say.
        if records.find(address).is_none() || self.is_virtual_function() {
            return;
        }

        let changes = records.lock();

        // The driver of the device that was found here before may have finished it just now.
        let Some(record) = changes.find(address) else {
            return;
        };

        // SAFETY: The device is being set up, which is what this is called for.
        unsafe { self.inherit() };
        if self.is_bridge() {
            self.incoming_bridge().store(true, Relaxed);
            drop(changes);
        } else {
            // INVARIANT: The reference is the device's from now on.
            self.incoming()
                .store(core::ptr::from_ref(record).cast_mut().cast(), Relaxed);
            drop(changes);
            incoming.detach();
        }
        dev_info!(
            self.as_dev(),
            "liveupdate: preserved by the previous kernel\n"
        );
    }

    /// Notes that what the previous kernel set up in the device stays.
    ///
    /// # Safety
    ///
    /// The device must be being set up, so that nobody else uses it.
    pub(crate) unsafe fn inherit(self) {
        // SAFETY: By the safety requirements. The field doesn't change after that.
        unsafe { (*self.as_raw()).liveupdate_inherits = true };
    }

    /// Whether the previous kernel preserved the device, and it is not finished.
    pub(crate) fn is_incoming(self) -> bool {
        !self.incoming().load(Relaxed).is_null() || self.is_incoming_bridge()
    }

    /// Whether it is a bridge, with incoming devices below.
    pub(crate) fn is_incoming_bridge(self) -> bool {
        self.incoming_bridge().load(Relaxed) && incoming::is_there()
    }

    /// Takes its incoming record from the device.
    fn forget_incoming(self) -> Option<Held> {
        // INVARIANT: Null is fine. One caller gets the record, and with it the device's reference.
        NonNull::new(self.incoming().xchg(null_mut(), Full)).map(|record| Held(record.cast()))
    }

    /// The driver has the device back: it is an ordinary one from now on.
    ///
    /// So are the bridges above it, unless there are other incoming devices below them.
    pub(crate) fn finish(self) {
        if self.is_bridge() {
            dev_warn!(
                self.as_dev(),
                "liveupdate: cannot finish: a bridge is finished with the devices below it\n"
            );
            return;
        }
        // The device's reference is given back when nothing is locked any more.
        if self.finish_record().is_none() {
            dev_warn!(self.as_dev(), "liveupdate: cannot finish: not incoming\n");
        }
    }

    fn finish_record(self) -> Option<Held> {
        let incoming = RECORDS.incoming().ok()?;
        let records = incoming.object().ok()?;
        let changes = records.lock();
        let held = self.forget_incoming()?;

        changes.finish(held.record());
        dev_info!(self.as_dev(), "liveupdate: finished\n");

        for bridge in self.upstream_bridges() {
            if changes.count_down(bridge.address()) {
                bridge.incoming_bridge().store(false, Relaxed);
                dev_info!(bridge.as_dev(), "liveupdate: finished\n");
            }
        }
        Some(held)
    }

    /// The device goes away. Its incoming record stays, so that it is incoming when it comes
    /// again. What it inherits stays with it: nobody looks at that any more.
    pub(crate) fn cleanup(self) {
        drop(self.forget_incoming());
        self.incoming_bridge().store(false, Relaxed);
    }

    /// The device is removed. Says what becomes of its records.
    ///
    /// An outgoing device stays in memory, as the outgoing records have a reference to it.
    pub(crate) fn remove(self) {
        if self.is_outgoing() {
            dev_warn!(
                self.as_dev(),
                "liveupdate: removed while preserved for the next kernel\n"
            );
        }
        if self.is_incoming() {
            dev_warn!(
                self.as_dev(),
                "liveupdate: removed before it was finished\n"
            );
            // What is below a bridge that has lost its bus numbers may be at work all the while.
            if self.has_lost_bus_numbers() {
                self.forget_lost_bus_numbers();
            } else {
                removed::note(self);
            }
        }
        self.cleanup();
    }

    /// Whether userspace may unbind the device from its driver, or remove it.
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
