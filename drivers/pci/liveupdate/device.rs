// SPDX-License-Identifier: GPL-2.0

//! A PCI device, and its records for the next kernel and by the previous one.

use crate::{
    buses::BusNumbers,
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
            Relaxed,
            Release, //
        },
        rcu, //
    }, //
};

/// A reference to a `struct pci_dev`.
///
/// # Invariants
///
/// - `liveupdate_outgoing` of the device is null, or a slot of the outgoing records that is in use
///   for the device, which is then one of [`Slots::devices`](crate::outgoing::Slots::devices). It
///   is written with the outgoing records locked.
/// - `liveupdate_incoming` of the device is null, or was a record of the incoming data when it was
///   set, which may be gone: see [`Device::with_incoming`].
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

    /// The generic device that it is, for C.
    pub(crate) fn as_generic(self) -> *mut bindings::device {
        // SAFETY: By the type invariant the device is valid. This only computes an address.
        unsafe { &raw mut (*self.as_raw()).dev }
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

    /// Whether a driver is bound to it. It may lose the driver at any moment.
    pub(crate) fn has_driver(self) -> bool {
        // SAFETY: By the type invariant the device is valid. It may be written to meanwhile, but
        // not in parts, and only whether it is null is looked at.
        !unsafe { (&raw const (*self.as_raw()).driver).read_volatile() }.is_null()
    }

    /// Calls `f` with the name of the device's driver, or `none`, or `busy` when somebody else has
    /// locked the device.
    ///
    /// Who removes the device does so, and may be waiting for who asks for the name.
    pub(crate) fn with_driver_name<R>(self, f: impl FnOnce(&CStr) -> R) -> R {
        let dev = self.as_generic();

        // SAFETY: As above.
        if unsafe { bindings::device_trylock(dev) } == 0 {
            return f(c"busy");
        }

        // SAFETY: As long as the device is locked, its driver stays bound, and with it registered.
        let result = match unsafe { (*dev).driver.as_ref() } {
            // SAFETY: The name of a registered driver is a string that lasts as long as the driver.
            Some(driver) => f(unsafe { CStr::from_char_ptr(driver.name) }),
            None => f(c"none"),
        };
        // SAFETY: It was locked above.
        unsafe { bindings::device_unlock(dev) };

        result
    }

    /// How far the device's user has come, as its driver says.
    pub(crate) fn user(self) -> u8 {
        // SAFETY: By the type invariant the device is valid. The field is only accessed like this,
        // and by `WRITE_ONCE()` in C.
        unsafe { (&raw const (*self.as_raw()).liveupdate_user).read_volatile() }
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

    pub(crate) fn is_outgoing(self) -> bool {
        !self.outgoing().load(Relaxed).is_null()
    }

    /// Whether `record` is the device's record for the next kernel.
    #[cfg(CONFIG_PCI_LIVEUPDATE_CHECK)]
    pub(crate) fn points_out_to(self, record: &Record) -> bool {
        core::ptr::eq(self.outgoing().load(Relaxed).cast(), record)
    }

    /// Whether `record` is the device's record by the previous kernel.
    #[cfg(CONFIG_PCI_LIVEUPDATE_CHECK)]
    pub(crate) fn points_in_to(self, record: &Record) -> bool {
        core::ptr::eq(self.incoming().load(Relaxed).cast(), record)
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
        // Not to be waited for in vain; it may be removed right after that, too.
        if self.is_removed() {
            return Err(ENODEV);
        }

        let outgoing = RECORDS.outgoing()?;
        let bridge = self.wake_bridge()?;
        let _buses = BusNumbers::hold(self)?;
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

        slots.as_mut().preserve(self, bridge)?;
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
        // INVARIANT: It is a record of the incoming data.
        self.incoming()
            .store(core::ptr::from_ref(record).cast_mut().cast(), Relaxed);
        dev_info!(
            self.as_dev(),
            "liveupdate: preserved by the previous kernel\n"
        );

        let is_found_again = removed::was(address);

        // SAFETY: The device is being set up, so that nobody else uses it.
        unsafe { (*self.as_raw()).liveupdate_found_again = is_found_again };
        if self.is_bridge() {
            return;
        }
        // Nobody handles an interrupt that it may be asserting: those who share the line would
        // not be heard any more.
        //
        // SAFETY: The device is valid.
        unsafe { bindings::pci_intx(self.as_raw(), 0) };
        if incoming::has_ended() {
            changes.finish(self);
            self.stop_found();
        } else if is_found_again {
            self.set_stopped();
            self.stop_found();
        }
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

    /// What `f` makes of the device's record by the previous kernel, if it has one that is not
    /// finished.
    pub(crate) fn with_incoming<R>(self, f: impl FnOnce(&Record) -> R) -> Option<R> {
        let _rcu = rcu::read_lock();

        if !incoming::is_there() {
            return None;
        }

        let record = NonNull::new(self.incoming().load(Relaxed))?.cast::<Record>();

        // SAFETY: By the type invariant it was a record of the incoming data. There is never more
        // than one, and the memory of that is given back a grace period after it is said not to
        // be there any more.
        let record = unsafe { record.as_ref() };

        (record.refcount() != 0).then(|| f(record))
    }

    /// Whether the previous kernel preserved the device, and it is not finished.
    pub(crate) fn is_incoming(self) -> bool {
        self.with_incoming(|_| ()).is_some()
    }

    /// Whether what the previous kernel set up must be left alone: in an incoming device, and in
    /// any bridge if it isn't known which devices are.
    pub(crate) fn is_kept(self) -> bool {
        self.is_incoming() || (incoming::is_unreadable() && self.is_bridge())
    }

    /// Whether it is a bridge, with incoming devices below.
    pub(crate) fn is_incoming_bridge(self) -> bool {
        self.is_bridge() && self.is_incoming()
    }

    /// The driver has the device back: it is an ordinary one from now on.
    ///
    /// So are the bridges above it, unless there are other incoming devices below them. It may have
    /// been removed, and found again: then it is finished for both.
    pub(crate) fn finish(self) {
        if self.is_bridge() {
            dev_warn!(
                self.as_dev(),
                "liveupdate: cannot finish: a bridge is finished with the devices below it\n"
            );
        } else if !self.try_finish() {
            dev_warn!(self.as_dev(), "liveupdate: cannot finish: not incoming\n");
        }
    }

    /// Finishes the device if it is incoming.
    pub(crate) fn try_finish(self) -> bool {
        RECORDS.incoming().is_ok_and(|incoming| {
            incoming
                .object()
                .is_ok_and(|records| records.lock().finish(self))
        })
    }

    /// The device has an incoming record no more.
    pub(crate) fn forget_incoming(self) {
        // INVARIANT: Null is fine.
        self.incoming().store(null_mut(), Relaxed);
    }

    /// Nobody is left who could take the device back, if it is incoming.
    pub(crate) fn end(self) {
        if !self.is_bridge() && self.is_incoming() {
            self.give_up();
        }
    }

    fn give_up(self) {
        dev_warn!(
            self.as_dev(),
            "liveupdate: was not taken back, and no file is left by which it could be\n"
        );
        // Whatever runs in its place by now, after it was stopped, is the driver's.
        if !self.is_stopped() {
            self.stop();
        }
        self.try_finish();
        self.forget_incoming();
    }

    /// The device was set up, and a driver may have it next.
    pub(crate) fn added(self) {
        self.reset_if_due();

        // Its record may have been finished with all others, before it could be seen.
        if incoming::has_ended() && !self.is_bridge() && !self.incoming().load(Relaxed).is_null() {
            self.give_up();
        }
        if !self.is_incoming() {
            self.let_sleep();
        }
    }

    /// Setting up the device has failed. Its incoming record stays, so that it is incoming when it
    /// can be set up.
    pub(crate) fn cleanup(self) {
        if self.is_incoming() && !self.is_bridge() {
            self.stop_found();
            removed::note(self);
        }
        self.forget_incoming();
    }

    /// The device is removed. Says what becomes of its records.
    ///
    /// An outgoing device stays in memory, as the outgoing records have a reference to it. An
    /// incoming one can be finished all the same, and is incoming when it comes again.
    pub(crate) fn remove(self) {
        if self.is_outgoing() {
            dev_warn!(
                self.as_dev(),
                "liveupdate: removed while preserved for the next kernel\n"
            );
        }
        if !self.is_incoming() {
            return;
        }
        dev_warn!(
            self.as_dev(),
            "liveupdate: removed before it was finished\n"
        );
        if !self.is_bridge() && self.may_run() {
            self.stop_removed();
        }
        // What is below a bridge that has lost its bus numbers may be at work all the while.
        if self.has_lost_bus_numbers() {
            self.clear_master();
            self.forget_lost_bus_numbers();
        } else {
            removed::note(self);
        }
    }

    /// Whether userspace may reset the device, or all that is below it.
    pub(crate) fn may_reset(self) -> Result {
        let why = if !self.is_bridge() {
            if !self.is_incoming() {
                return Ok(());
            }
            // It would be as it was after that, be it stopped meanwhile or not.
            "it was preserved by the previous kernel"
        } else if self.is_outgoing() {
            "a device below it is preserved for the next kernel"
        } else if self.is_kept() {
            "a device below it was preserved by the previous kernel"
        } else {
            return Ok(());
        };

        dev_warn!(self.as_dev(), "liveupdate: cannot be reset: {why}\n");
        Err(EBUSY)
    }

    /// Whether userspace may unbind the device from its driver, or remove it.
    pub(crate) fn may_unbind(self) -> Result {
        // SAFETY: FFI call without requirements.
        let is_held_off = unsafe { bindings::pci_liveupdate_are_removals_held_off() };
        let why = if self.is_outgoing() {
            "preserved for the next kernel"
        } else if is_held_off {
            "the next kernel is on its way"
        } else {
            return Ok(());
        };

        dev_warn!(
            self.as_dev(),
            "liveupdate: cannot be unbound or removed: {why}\n"
        );
        Err(EBUSY)
    }

    /// A reference of its own to the device.
    pub(crate) fn get(self) -> ARef<pci::Device> {
        self.0.into()
    }
}

/// The device at an address, if there is one.
pub(crate) fn at(address: Address) -> Option<ARef<pci::Device>> {
    // SAFETY: The function accepts any address.
    let dev = unsafe { bindings::pci_liveupdate_get_device(address.domain as c_int, address.bdf) };

    // SAFETY: The function gave us a reference to the device.
    NonNull::new(dev).map(|dev| unsafe { ARef::from_raw(dev.cast()) })
}
