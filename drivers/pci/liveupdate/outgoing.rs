// SPDX-License-Identifier: GPL-2.0

//! What this kernel hands over: the records of the devices that are preserved.

use crate::{
    awake::Awake,
    device::Device,
    record::{
        Address,
        Header,
        Record, //
    }, //
};
use kernel::{
    kho::{
        BlockSet,
        Entry,
        Handle,
        Preserved, //
    },
    new_mutex,
    pci,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        lock::{
            mutex::MutexBackend,
            Guard, //
        },
        Mutex, //
    },
    xarray::PlainXArray, //
};

/// How many devices have a record.
static PRESERVED: Atomic<i32> = Atomic::new(0);

/// Whether any device was ever preserved. It does not change back while buses are scanned.
static EVER: Atomic<bool> = Atomic::new(false);

/// Whether bus numbers are to stay as they are, as devices are preserved, or were.
#[inline]
pub(crate) fn keep_buses() -> bool {
    EVER.load(Relaxed)
}

/// Whether any device is preserved.
pub(crate) fn is_any() -> bool {
    PRESERVED.load(Relaxed) != 0
}

/// A device that has a record.
struct Kept {
    device: ARef<pci::Device>,
    /// The bridge above it, if it is not one itself.
    _bridge: Option<Awake>,
}

/// The outgoing data. There is one while any file is preserved that it is bound to.
#[pin_data]
pub(crate) struct Outgoing {
    /// For the order of locks see the top of the crate.
    #[pin]
    slots: Mutex<Slots>,
    handle: Handle,
}

impl Outgoing {
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        pin_init::pin_init_scope(|| {
            let header = Preserved::new(Header::new())?;

            Ok(try_pin_init!(Self {
                handle: header.handle(),
                slots <- new_mutex!(Slots::new(header), "pci_liveupdate_outgoing"),
            }? Error))
        })
    }

    /// Where the next kernel finds the data.
    pub(crate) fn handle(&self) -> Handle {
        self.handle
    }

    /// Locks the records, and with them the outgoing pointers of all devices.
    pub(crate) fn lock(&self) -> Guard<'_, Slots, MutexBackend> {
        self.slots.lock()
    }
}

/// Slots for records: preserved memory of which some is in use.
///
/// # Invariants
///
/// - `free` holds the slots of `blocks` that are not in use, each once. All of their bytes are
///   zero.
/// - `free` has room for all slots of `blocks`, so that giving one back needs no memory.
/// - `header` has the address of `blocks`, and says how many slots are in use.
/// - A device whose outgoing record is one of the slots is in `devices`.
#[pin_data(PinnedDrop)]
pub(crate) struct Slots {
    header: Preserved<Header>,
    #[pin]
    blocks: BlockSet<Record>,
    free: KVVec<Entry<Record>>,
    /// The next kernel is on its way: nothing changes any more, unless that is called off.
    is_frozen: bool,
    /// The devices that have a record, by the keys of their addresses.
    #[pin]
    devices: PlainXArray<KBox<Kept>>,
}

impl Slots {
    pub(crate) fn new(header: Preserved<Header>) -> impl PinInit<Self> {
        pin_init!(Self {
            header,
            blocks <- BlockSet::new(),
            free: KVVec::new(),
            is_frozen: false,
            devices <- PlainXArray::new(),
        })
    }

    /// Puts a device into a slot.
    ///
    /// Takes the same time however many records there are: a slot that was given back, or the next
    /// one of the last block, or, every [`BlockSet::PER_BLOCK`] times, the first one of a new
    /// block. (Making room in `free` copies it, but doubles the room, so this is rare enough not
    /// to count.)
    pub(crate) fn insert(
        mut self: Pin<&mut Self>,
        address: Address,
        refcount: u16,
    ) -> Result<&Record> {
        let slot = match self.as_mut().project().free.pop() {
            Some(slot) => slot,
            None => self.as_mut().reserve()?,
        };

        slot.fill(address, refcount);
        self.project().header.nr_devices += 1;
        // SAFETY: The slot is one of `blocks`, which lives as long as what is returned borrows it.
        Ok(unsafe { slot.into_raw().as_ref() })
    }

    /// Reserves a slot that was never in use.
    fn reserve(self: Pin<&mut Self>) -> Result<Entry<Record>> {
        let mut this = self.project();
        let len = this.blocks.len();

        if len == this.blocks.capacity() {
            let capacity = len + BlockSet::<Record>::PER_BLOCK;

            // INVARIANT: `free` gets room for what is added to `blocks`. It is empty now, so that
            // its room is all that counts.
            this.free.reserve(capacity, GFP_KERNEL)?;
            this.blocks.as_mut().grow(capacity)?;
            this.header.set_devices(this.blocks.handle());
        }

        let slot = this.blocks.reserve().ok_or(ENOSPC)?;

        // SAFETY: Entries are kept in `free`, which goes away with the blocks, and by devices in
        // `devices`, from which they are taken before the blocks go away.
        Ok(unsafe { Entry::new(slot) })
    }

    /// Gives back the slot of a device.
    ///
    /// # Safety
    ///
    /// The slot must come from [`Slots::insert`] of these slots, and not be given back already.
    pub(crate) unsafe fn remove(self: Pin<&mut Self>, slot: Entry<Record>) {
        let this = self.project();

        slot.clear();
        this.header.nr_devices -= 1;

        // INVARIANT: By the safety requirements, the slot was in use until now.
        // By the type invariant there is room, so this can't fail.
        let _ = this.free.push_within_capacity(slot);
    }

    /// Gives a device, and all bridges above it, a record each, or counts it in that of a bridge
    /// that has one.
    ///
    /// # Errors
    ///
    /// `EBUSY` when there is a record for its address already, `EOVERFLOW` when a bridge has too
    /// many devices below it, `ENOSPC`, `ENOMEM`. Then nothing has changed.
    pub(crate) fn preserve(
        mut self: Pin<&mut Self>,
        device: Device<'_>,
        bridge: Option<Awake>,
    ) -> Result {
        self.as_mut().add(device, bridge)?;

        for (counted, bridge) in device.upstream_bridges().enumerate() {
            if let Err(error) = self.as_mut().count(bridge) {
                for bridge in device.upstream_bridges().take(counted) {
                    self.as_mut().uncount(bridge);
                }
                self.uncount(device);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Takes back [`Slots::preserve`]. Calls `gone` for each device that has no record any more.
    ///
    /// # Errors
    ///
    /// `ENOENT` when the device has no record. Then nothing has changed.
    pub(crate) fn unpreserve(
        mut self: Pin<&mut Self>,
        device: Device<'_>,
        gone: impl Fn(Device<'_>),
    ) -> Result {
        if !device.is_outgoing() {
            return Err(ENOENT);
        }

        for device in device.path() {
            self.as_mut().uncount(device);
            if !device.is_outgoing() {
                gone(device);
            }
        }
        Ok(())
    }

    /// Counts one more device at or below a bridge.
    fn count(self: Pin<&mut Self>, bridge: Device<'_>) -> Result {
        // SAFETY: The records are borrowed mutably, so they are locked.
        match unsafe { bridge.outgoing_record() } {
            Some(record) => record.count_up(),
            None => self.add(bridge, None),
        }
    }

    /// Counts one device less at or below a device or bridge that has a record.
    fn uncount(mut self: Pin<&mut Self>, device: Device<'_>) {
        // SAFETY: The records are borrowed mutably, so they are locked.
        let Some(record) = (unsafe { device.outgoing_record() }) else {
            return;
        };

        if record.refcount() > 1 {
            record.count_down();
            return;
        }

        // What leads from a removed device to its domain may be gone: the record knows.
        let key = record.address().key();

        // SAFETY: The records are locked.
        unsafe { device.set_outgoing_record(None) };
        // SAFETY: The slot was in use for the device until now, and isn't any more. It is one of
        // these, as there is only one object of this type that devices refer to.
        unsafe { self.as_mut().remove(record) };
        self.project().devices.remove(key);
        PRESERVED.add(-1, Relaxed);
    }

    /// Gives a device that has none a record, and takes a reference to the device.
    fn add(mut self: Pin<&mut Self>, device: Device<'_>, bridge: Option<Awake>) -> Result {
        let address = device.address();
        let devices = self.as_mut().project().devices;
        let kept = KBox::new(
            Kept {
                device: device.get(),
                _bridge: bridge,
            },
            GFP_KERNEL,
        )?;

        devices
            .insert(address.key(), kept, GFP_KERNEL)
            .inspect_err(|refused| {
                // The driver knows of this one, and the other was removed.
                if refused.error == EBUSY && !device.is_outgoing() {
                    dev_warn!(
                        device.as_dev(),
                        "liveupdate: cannot be preserved: it is in the place of one that is\n"
                    );
                }
            })?;
        match self.as_mut().insert(address, 1) {
            Ok(record) => {
                // SAFETY: The slot is in use for the device. It is taken from the device before it
                // is given back, and before the slots go away.
                let record = unsafe { Entry::new(record) };

                // SAFETY: The records are locked, and the slot was just put in use for the device,
                // which is one of `devices`.
                unsafe { device.set_outgoing_record(Some(record)) };
                PRESERVED.add(1, Relaxed);
                EVER.store(true, Relaxed);
                Ok(())
            }
            Err(error) => {
                self.project().devices.remove(address.key());
                Err(error)
            }
        }
    }

    /// Whether nothing may change, as the next kernel is on its way.
    pub(crate) fn is_frozen(&self) -> bool {
        self.is_frozen
    }

    pub(crate) fn freeze(self: Pin<&mut Self>, is_frozen: bool) {
        *self.project().is_frozen = is_frozen;
    }

    /// Goes through the devices that have a record.
    pub(crate) fn devices(&self) -> impl Iterator<Item = Device<'_>> {
        self.devices
            .iter()
            .map(|(_, kept)| Device::new(&kept.device))
    }

    /// The device that has the record for `address`.
    #[cfg(CONFIG_PCI_LIVEUPDATE_CHECK)]
    pub(crate) fn device(&self, address: Address) -> Option<Device<'_>> {
        self.devices
            .get(address.key())
            .map(|kept| Device::new(&kept.device))
    }

    /// How many devices have a record.
    pub(crate) fn len(&self) -> u32 {
        self.header.nr_devices
    }

    /// Goes through the records in use.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Record> {
        self.blocks.iter().filter(|record| record.refcount() != 0)
    }

    /// What this is made of, to see whether it fits together.
    #[cfg(CONFIG_PCI_LIVEUPDATE_CHECK)]
    pub(crate) fn parts(&self) -> Parts<'_> {
        Parts {
            header: &self.header,
            blocks: &self.blocks,
            free: &self.free,
        }
    }

    /// Makes the header say that there are more or fewer records than there are.
    #[cfg(CONFIG_PCI_LIVEUPDATE_KUNIT_TEST)]
    pub(crate) fn miscount(self: Pin<&mut Self>, nr_devices: u32) {
        self.project().header.nr_devices = nr_devices;
    }
}

/// The parts of [`Slots`].
#[cfg(CONFIG_PCI_LIVEUPDATE_CHECK)]
pub(crate) struct Parts<'a> {
    pub(crate) header: &'a Preserved<Header>,
    pub(crate) blocks: &'a BlockSet<Record>,
    pub(crate) free: &'a KVVec<Entry<Record>>,
}

#[pinned_drop]
impl PinnedDrop for Slots {
    fn drop(self: Pin<&mut Self>) {
        // There is one if its driver didn't unpreserve it before the last file was unpreserved.
        for device in self.devices() {
            PRESERVED.add(-1, Relaxed);
            // SAFETY: The records are on their way out, so nobody else can be using them.
            unsafe { device.set_outgoing_record(None) };
            if !device.is_bridge() {
                dev_warn!(
                    device.as_dev(),
                    "liveupdate: its driver did not unpreserve it\n"
                );
            }
        }
    }
}
