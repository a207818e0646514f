// SPDX-License-Identifier: GPL-2.0

//! What this kernel hands over: the records of the devices that are preserved.

use crate::{
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
        lock::{
            mutex::MutexBackend,
            Guard, //
        },
        Mutex, //
    },
    xarray::PlainXArray, //
};

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
    /// The devices that have a record, by the keys of their addresses.
    #[pin]
    pub(crate) devices: PlainXArray<ARef<pci::Device>>,
}

impl Slots {
    pub(crate) fn new(header: Preserved<Header>) -> impl PinInit<Self> {
        pin_init!(Self {
            header,
            blocks <- BlockSet::new(),
            free: KVVec::new(),
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

    /// Takes a reference to a device that is about to have a record.
    ///
    /// # Errors
    ///
    /// `EBUSY` when there is a device at its address already, `ENOMEM`.
    pub(crate) fn attach(self: Pin<&mut Self>, device: Device<'_>) -> Result {
        let devices = self.project().devices;

        devices.insert(device.address().key(), device.get(), GFP_KERNEL)?;
        Ok(())
    }

    /// Gives back the reference to a device that has no record any more.
    pub(crate) fn detach(self: Pin<&mut Self>, device: Device<'_>) {
        self.project().devices.remove(device.address().key());
    }

    /// How many devices have a record.
    pub(crate) fn len(&self) -> u32 {
        self.header.nr_devices
    }

    /// Goes through the records in use.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Record> {
        self.blocks.iter().filter(|record| record.refcount() != 0)
    }

    #[cfg(CONFIG_PCI_LIVEUPDATE_KUNIT_TEST)]
    pub(crate) fn parts(&self) -> (&Header, &BlockSet<Record>) {
        (&self.header, &self.blocks)
    }
}

#[pinned_drop]
impl PinnedDrop for Slots {
    fn drop(self: Pin<&mut Self>) {
        // There is one if its driver didn't unpreserve it before the last file was unpreserved.
        for (_, device) in self.devices.iter() {
            let device = Device::new(device);

            // SAFETY: The records are on their way out, and the result is not used.
            unsafe { device.forget_outgoing() };
            dev_warn!(
                device.as_dev(),
                "liveupdate: its driver did not unpreserve it\n"
            );
        }
    }
}
