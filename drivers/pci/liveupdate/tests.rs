// SPDX-License-Identifier: GPL-2.0

//! KUnit tests of how devices are recorded, and how records are read.
//!
//! What is read was written by the same code, into memory that KHO is then told to regard as
//! handed over. What kexec adds to it is tested by `tools/testing/selftests/pci_liveupdate/`.

#[cfg(CONFIG_FAULT_INJECTION)]
mod faults;

use crate::{
    consistency::Report,
    debugfs::State,
    device::Device,
    incoming::{
        self,
        Incoming, //
    },
    outgoing::{
        Parts,
        Slots, //
    },
    record::{
        Address,
        Header,
        Record,
        COMPATIBLE,
        VERSION, //
    },
    removed,
    rescan::RescanLock,
    validate::Unreadable, //
};
use kernel::{
    bindings,
    kho::{
        self,
        BlockSet,
        ChainError,
        Entry,
        Handle,
        Preserved,
        Restored,
        RestoredBlockSet, //
    },
    prelude::*, //
};

/// How many records a block holds.
const PER_BLOCK: usize = BlockSet::<Record>::PER_BLOCK;

/// The `n`th of many addresses, spread over domains.
fn address(n: usize) -> Address {
    Address {
        domain: (n >> 16) as u32,
        bdf: n as u16,
    }
}

fn slots() -> Result<Pin<KBox<Slots>>> {
    let header = Preserved::new(Header::new())?;

    KBox::pin_init(Slots::new(header), GFP_KERNEL)
}

fn insert(slots: &mut Pin<KBox<Slots>>, address: Address) -> Result<Entry<Record>> {
    let record = slots.as_mut().insert(address, 1)?;

    // SAFETY: No test uses records longer than the slots.
    Ok(unsafe { Entry::new(record) })
}

/// Slots and the records in them.
type Filled = (Pin<KBox<Slots>>, KVVec<Entry<Record>>);

/// Slots with the records of the first `n` addresses, and these records.
fn filled(n: usize) -> Result<Filled> {
    let mut slots = slots()?;
    let mut records = KVVec::with_capacity(n, GFP_KERNEL)?;

    for n in 0..n {
        records.push(insert(&mut slots, address(n))?, GFP_KERNEL)?;
    }
    Ok((slots, records))
}

/// How much is wrong with slots, apart from devices.
fn problems(slots: &Slots) -> usize {
    let mut report = Report::new(None);

    slots.check_slots(&mut report);
    report.problems()
}

/// A hand-over as another kernel might have left it: whatever the bytes are.
///
/// Its pages are not preserved, and belong to nobody but KHO once [`HandOver::read`] was called.
struct HandOver {
    header: *mut Header,
    blocks: KVec<*mut Block>,
}

/// A block, as `struct kho_block_header_ser` and what follows.
#[repr(C)]
struct Block {
    next: u64,
    count: u64,
    records: [Record; PER_BLOCK],
}

static_assert!(size_of::<Block>() == bindings::KHO_BLOCK_SIZE);

fn page<T>() -> Result<*mut T> {
    // SAFETY: FFI call without requirements.
    let page =
        unsafe { bindings::get_free_pages_noprof(bindings::GFP_KERNEL | bindings::__GFP_ZERO, 0) };

    if page == 0 {
        return Err(ENOMEM);
    }
    Ok(page as *mut T)
}

fn handle<T>(page: *mut T) -> Handle {
    // SAFETY: The page is in the linear mapping; the call only computes with its address.
    at(unsafe { bindings::virt_to_phys(page.cast()) })
}

fn at(address: u64) -> Handle {
    // SAFETY: Tests run in kernels to which nothing was handed over but by them.
    unsafe { Handle::from_raw(address) }
}

impl HandOver {
    /// A hand-over of the first `n` addresses, in good order.
    fn new(n: usize) -> Result<Self> {
        let mut this = Self {
            header: page()?,
            blocks: KVec::new(),
        };

        for block in 0..n.div_ceil(PER_BLOCK) {
            let count = PER_BLOCK.min(n - block * PER_BLOCK);
            let page = page::<Block>()?;

            // SAFETY: The page is ours, and zeroed, which is a valid `Block`.
            let contents = unsafe { &mut *page };
            contents.count = count as u64;
            for (i, record) in contents.records.iter().take(count).enumerate() {
                record.fill(address(block * PER_BLOCK + i), 1);
            }
            match this.blocks.last() {
                // SAFETY: As above.
                Some(last) => unsafe { (**last).next = handle(page).into_raw() },
                None => this.header().set_devices(handle(page)),
            }
            this.blocks.push(page, GFP_KERNEL)?;
        }

        this.header().version = VERSION;
        this.header().nr_devices = n as u32;
        Ok(this)
    }

    fn header(&mut self) -> &mut Header {
        // SAFETY: The page is ours, and any bytes are a valid `Header`.
        unsafe { &mut *self.header }
    }

    fn block(&mut self, n: usize) -> &mut Block {
        // SAFETY: The page is ours, and any bytes are a valid `Block`.
        unsafe { &mut *self.blocks[n] }
    }

    fn record(&mut self, n: usize) -> &Record {
        &self.block(n / PER_BLOCK).records[n % PER_BLOCK]
    }

    /// Hands it over, and reads it as the next kernel does.
    fn read(self) -> Result<Pin<KBox<Incoming>>, Unreadable> {
        let give_up = |page: *mut Block| {
            // SAFETY: The page was allocated by `page()`, and we give it up.
            unsafe { bindings::kho_mark_restorable(bindings::virt_to_page(page.cast())) }
        };

        self.blocks.iter().for_each(|block| give_up(*block));
        give_up(self.header.cast());

        let incoming = Incoming::read(handle(self.header), Unreadable::from);

        KBox::try_pin_init(incoming, GFP_KERNEL)
    }

    /// Why it can't be read.
    fn why(self) -> Option<Unreadable> {
        self.read().err()
    }
}

impl From<kernel::alloc::AllocError> for Unreadable {
    fn from(_: kernel::alloc::AllocError) -> Self {
        Self::NoMemory
    }
}

#[kunit_tests(pci_liveupdate)]
mod cases {
    use super::*;

    #[test]
    fn keys_are_unique_and_ordered() {
        let key = |domain, bdf| Address { domain, bdf }.key();

        assert_eq!(key(0, 0), 0);
        assert_eq!(key(0, 0xffff), 0xffff);
        assert_eq!(key(1, 0), 0x1_0000);
        assert_eq!(key(u32::MAX, u16::MAX), 0xffff_ffff_ffff);
    }

    #[test]
    fn addresses_are_written_as_the_kernel_does() -> Result {
        let address = Address {
            domain: 0x10000,
            bdf: 0x0afb,
        };
        let text = kernel::str::CString::try_from_fmt(fmt!("{address}"))?;

        assert_eq!(text.to_bytes(), b"10000:0a:1f.3");
        Ok(())
    }

    #[test]
    fn the_format_is_that_of_the_header() -> Result {
        assert_eq!(COMPATIBLE.to_bytes(), b"pci");
        assert_eq!(VERSION, 2);
        // 510 where a page has 4 KiB.
        assert_eq!(PER_BLOCK, (bindings::PAGE_SIZE - 16) / 8);

        // What Rust writes, C reads.
        let (slots, _) = filled(1)?;
        let Parts { header, blocks, .. } = slots.parts();
        let c_header = core::ptr::from_ref(&**header).cast::<bindings::pci_ser>();
        // SAFETY: The compiler checks that size and layout are the same.
        let c_header = unsafe { c_header.read_unaligned() };
        assert_eq!({ c_header.version }, 2);
        assert_eq!({ c_header.nr_devices }, 1);
        assert_eq!({ c_header.devices }, blocks.handle().into_raw());

        let mut slots = super::slots()?;
        let address = Address {
            domain: 0x1234_5678,
            bdf: 0x9abc,
        };
        let record = slots.as_mut().insert(address, 0xdef0)?;
        let c_record = core::ptr::from_ref(record).cast::<bindings::pci_dev_ser>();
        // SAFETY: As above.
        let c_record = unsafe { c_record.read_unaligned() };
        assert_eq!({ c_record.domain }, 0x1234_5678);
        assert_eq!({ c_record.bdf }, 0x9abc);
        assert_eq!({ c_record.refcount }, 0xdef0);
        Ok(())
    }

    #[test]
    fn a_header_without_devices_has_no_blocks() -> Result {
        let slots = slots()?;
        let Parts { header, blocks, .. } = slots.parts();

        assert_eq!(header.nr_devices, 0);
        assert!(header.devices().is_none());
        assert_eq!(blocks.capacity(), 0);
        Ok(())
    }

    #[test]
    fn a_slot_given_back_is_zeroed_and_used_again() -> Result {
        let (mut slots, records) = filled(3)?;
        let slot = records[1].into_raw();

        // SAFETY: It is a slot of these, and given back once.
        unsafe { slots.as_mut().remove(records[1]) };
        assert_eq!(slots.len(), 2);
        assert_eq!(slots.iter().count(), 2);
        // SAFETY: A record is as large as a `u64`, and the block is still there.
        assert_eq!(unsafe { slot.cast::<u64>().read() }, 0);

        let record = insert(&mut slots, address(7))?;
        assert_eq!(record.into_raw(), slot);
        assert_eq!(record.address(), address(7));
        assert_eq!(slots.len(), 3);
        assert_eq!(slots.parts().blocks.len(), 3);
        Ok(())
    }

    #[test]
    fn slots_grow_by_a_block() -> Result {
        let (mut slots, _) = filled(PER_BLOCK)?;
        let handle = slots.parts().header.devices();
        assert_eq!(slots.parts().blocks.capacity(), PER_BLOCK);

        slots.as_mut().insert(address(PER_BLOCK), 1)?;
        assert_eq!(slots.parts().blocks.capacity(), 2 * PER_BLOCK);
        assert_eq!(slots.len() as usize, PER_BLOCK + 1);
        // Where the first block is does not change.
        assert_eq!(slots.parts().header.devices(), handle);
        Ok(())
    }

    #[test]
    fn slots_have_no_limit_that_matters() -> Result {
        const MANY: usize = 100_000;
        let (mut slots, records) = filled(MANY)?;

        assert_eq!(slots.len() as usize, MANY);
        assert!(slots.iter().map(Record::address).eq((0..MANY).map(address)));

        for record in &records {
            // SAFETY: They are slots of these, and each is given back once.
            unsafe { slots.as_mut().remove(*record) };
        }
        assert_eq!(slots.len(), 0);
        assert_eq!(slots.iter().count(), 0);

        // The memory is used again, not added to.
        let capacity = slots.parts().blocks.capacity();
        for n in 0..MANY {
            slots.as_mut().insert(address(n), 1)?;
        }
        assert_eq!(slots.parts().blocks.capacity(), capacity);
        Ok(())
    }

    #[test]
    fn devices_come_and_go_in_any_order() -> Result {
        const MANY: usize = 2 * PER_BLOCK + 17;
        let (mut slots, mut records) = filled(MANY)?;
        let mut random = 1u32;
        let mut step = || {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 8) as usize % MANY
        };

        // Take out one and put it back as another, many times.
        for round in 0..4 * MANY {
            let n = step();

            // SAFETY: It is a slot of these, and put in use again before it is given back again.
            unsafe { slots.as_mut().remove(records[n]) };
            records[n] = insert(&mut slots, address(MANY + round))?;
        }
        assert_eq!(slots.len() as usize, MANY);
        assert_eq!(slots.iter().count(), MANY);
        assert_eq!(slots.parts().blocks.len(), MANY);

        // Each is where its owner believes it is.
        for record in &records {
            assert_eq!(record.refcount(), 1);
            assert!(slots.iter().any(|other| core::ptr::eq(other, &**record)));
        }
        Ok(())
    }

    #[test]
    fn wrong_slots_are_noticed() -> Result {
        let (mut slots, records) = filled(3)?;
        let unused = Address { domain: 0, bdf: 0 };

        // SAFETY: It is a slot of these, and given back once.
        unsafe { slots.as_mut().remove(records[1]) };
        assert_eq!(problems(&slots), 0);

        // The header counts a device more, or less.
        for nr_devices in [1, 3] {
            slots.as_mut().miscount(nr_devices);
            assert_eq!(problems(&slots), 1);
        }
        slots.as_mut().miscount(2);
        assert_eq!(problems(&slots), 0);

        // A free slot has an address, or a reference count.
        records[1].fill(address(5), 0);
        assert_eq!(problems(&slots), 1);
        records[1].fill(unused, 1);
        assert!(problems(&slots) > 0);
        records[1].clear();
        assert_eq!(problems(&slots), 0);

        // A slot is lost.
        records[0].clear();
        assert!(problems(&slots) > 0);
        records[0].fill(address(0), 1);
        assert_eq!(problems(&slots), 0);
        Ok(())
    }

    #[test]
    fn records_that_devices_do_not_have_are_noticed() -> Result {
        let rescan = RescanLock::lock();
        let mut devices = rescan.devices();
        let Some(device) = devices.find(|device| {
            let device = Device::new(device);

            !device.is_bridge() && !device.is_outgoing() && device.upstream_bridges().count() > 0
        }) else {
            pr_info!("there is no device below a bridge\n");
            return Ok(());
        };
        let device = Device::new(&device);
        let bridge = device.upstream_bridges().next().ok_or(ENODEV)?;
        let mut slots = slots()?;
        let problems = |slots: &Slots| {
            let mut report = Report::new(None);

            slots.check_devices(&mut report);
            for device in rescan.devices() {
                slots.check_device(Device::new(&device), &mut report);
            }
            report.problems()
        };

        slots.as_mut().preserve(device, None)?;
        assert_eq!(problems(&slots), 0);

        // The bridge is counted wrong.
        // SAFETY: Nobody else has the records.
        let record = unsafe { bridge.outgoing_record() }.ok_or(ENOENT)?;
        record.set_refcount(2);
        assert_eq!(problems(&slots), 1);
        record.set_refcount(1);
        assert_eq!(problems(&slots), 0);

        // A device does not know of its record, or has that of another one.
        // SAFETY: As above.
        let own = unsafe { device.outgoing_record() };
        for wrong in [None, Some(record)] {
            // SAFETY: As above; it is put right again.
            unsafe { device.set_outgoing_record(wrong) };
            assert_eq!(problems(&slots), 1);
        }
        // SAFETY: As above; this is what it was before.
        unsafe { device.set_outgoing_record(own) };
        assert_eq!(problems(&slots), 0);

        // A record of no device.
        let stray = insert(
            &mut slots,
            Address {
                domain: u32::MAX,
                bdf: 0,
            },
        )?;
        assert_eq!(problems(&slots), 2);
        // SAFETY: It is a slot of these, and given back once.
        unsafe { slots.as_mut().remove(stray) };

        slots.as_mut().unpreserve(device, |_| ())?;
        assert_eq!(problems(&slots), 0);
        assert_eq!(slots.len(), 0);
        Ok(())
    }

    #[test]
    fn an_empty_hand_over_is_read() -> Result {
        let incoming = HandOver::new(0)?.read()?;

        assert_eq!(incoming.iter().count(), 0);
        assert!(incoming.find(address(0)).is_none());
        Ok(())
    }

    #[test]
    fn records_are_found_by_their_addresses() -> Result {
        const MANY: usize = 3 * PER_BLOCK + 5;
        let incoming = HandOver::new(MANY)?.read()?;

        assert_eq!(incoming.iter().count(), MANY);
        for n in 0..MANY {
            assert!(incoming
                .find(address(n))
                .is_some_and(|record| record.address() == address(n)));
        }
        assert!(incoming.find(address(MANY)).is_none());
        Ok(())
    }

    #[test]
    fn records_are_read_in_any_order() -> Result {
        const MANY: usize = PER_BLOCK + 3;
        let mut hand_over = HandOver::new(MANY)?;

        for n in 0..MANY {
            hand_over.record(n).fill(address(MANY - 1 - n), 1);
        }
        let incoming = hand_over.read()?;
        assert!(incoming
            .iter()
            .map(Record::address)
            .eq((0..MANY).map(address)));
        Ok(())
    }

    #[test]
    fn free_slots_are_left_out() -> Result {
        let mut hand_over = HandOver::new(10)?;

        for n in [0, 4, 9] {
            hand_over.record(n).clear();
        }
        hand_over.header().nr_devices = 7;
        let incoming = hand_over.read()?;
        assert_eq!(incoming.iter().count(), 7);
        assert!(incoming.find(address(4)).is_none());
        assert!(incoming.find(address(5)).is_some());
        Ok(())
    }

    #[test]
    fn a_finished_device_is_not_found_but_listed() -> Result {
        let incoming = HandOver::new(2)?.read()?;

        incoming.finish_absent(address(1));
        assert!(incoming.find(address(1)).is_none());
        assert_eq!(incoming.iter().count(), 2);
        Ok(())
    }

    #[test]
    fn a_bridge_counts_devices_at_or_below_it() -> Result {
        let mut hand_over = HandOver::new(3)?;

        hand_over.record(0).set_refcount(2);
        assert_eq!(
            hand_over.read()?.find(address(0)).map(Record::refcount),
            Some(2)
        );
        Ok(())
    }

    #[test]
    fn a_bridge_is_counted_up_and_down_within_limits() -> Result {
        let mut slots = slots()?;
        let record = insert(&mut slots, address(0))?;

        record.count_up()?;
        assert_eq!(record.refcount(), 2);
        assert_eq!(record.count_down(), Some(1));
        assert_eq!(record.count_down(), Some(0));
        assert_eq!(record.count_down(), None);
        assert_eq!(record.refcount(), 0);

        record.set_refcount(u16::MAX - 1);
        record.count_up()?;
        assert_eq!(record.count_up(), Err(EOVERFLOW));
        assert_eq!(record.refcount(), u16::MAX);
        assert_eq!(record.count_down(), Some(u16::MAX - 1));
        Ok(())
    }

    #[test]
    fn a_device_that_is_not_there_is_finished_once() -> Result {
        let incoming = HandOver::new(2)?.read()?;

        incoming.finish_absent(address(2));
        assert!(incoming.find(address(0)).is_some());
        assert!(incoming.find(address(1)).is_some());
        incoming.finish_absent(address(0));
        incoming.finish_absent(address(0));
        assert!(incoming.find(address(0)).is_none());
        assert!(incoming.find(address(1)).is_some());
        Ok(())
    }

    #[test]
    fn each_state_has_a_word_and_an_advice() -> Result {
        let users = 0..bindings::pci_liveupdate_user_PCI_LIVEUPDATE_CLOSED as u8 + 1;
        let mut states = KVec::from_elem(State::Finished, 1, GFP_KERNEL)?;

        states.push(State::Absent, GFP_KERNEL)?;
        states.push(State::Bridge, GFP_KERNEL)?;
        for user in users {
            states.push(State::User(user), GFP_KERNEL)?;
        }
        for (n, state) in states.iter().enumerate() {
            assert!(!state.name().contains([' ', '#']));
            assert!(!states[..n]
                .iter()
                .any(|other| { other.name() == state.name() || other.advice() == state.advice() }));
        }
        // What no driver can say is taken for what was never said.
        assert_eq!(State::User(u8::MAX).name(), State::User(0).name());
        Ok(())
    }

    #[test]
    fn a_removal_is_not_noted_when_nothing_is_incoming() -> Result {
        let rescan = RescanLock::lock();

        if incoming::is_there() {
            pr_info!("there is a hand-over\n");
            return Ok(());
        }

        let Some(device) = rescan.devices().next() else {
            pr_info!("there is no device\n");
            return Ok(());
        };

        removed::note(Device::new(&device));
        assert!(removed::is_empty());
        Ok(())
    }

    #[test]
    fn memory_is_given_back_once_read_records_go() -> Result {
        let hand_over = HandOver::new(1)?;
        let (header, block) = (handle(hand_over.header), handle(hand_over.blocks[0]));

        drop(hand_over.read()?);
        // Nothing to restore any more.
        assert!(header.peek::<u64>().is_err());
        assert!(block.peek::<u64>().is_err());
        Ok(())
    }

    #[test]
    fn another_version_is_refused() -> Result {
        for version in [0, 1, 3, u32::MAX] {
            let mut hand_over = HandOver::new(1)?;
            let block = handle(hand_over.blocks[0]);

            hand_over.header().version = version;
            assert_eq!(hand_over.why(), Some(Unreadable::Version(version)));
            // Nothing but the version is looked at.
            assert!(block.peek::<u64>().is_ok());
        }
        Ok(())
    }

    #[test]
    fn a_wrong_count_is_refused() -> Result {
        for (nr_devices, records) in [(2, 3), (4, 3), (u32::MAX, 3)] {
            let mut hand_over = HandOver::new(3)?;

            hand_over.header().nr_devices = nr_devices;
            assert_eq!(
                hand_over.why(),
                Some(Unreadable::Count {
                    header: nr_devices,
                    records
                })
            );
        }

        // No blocks at all, but devices.
        let mut hand_over = HandOver::new(0)?;
        hand_over.header().nr_devices = 1;
        assert_eq!(
            hand_over.why(),
            Some(Unreadable::Count {
                header: 1,
                records: 0
            })
        );
        Ok(())
    }

    #[test]
    fn an_impossible_refcount_is_refused() -> Result {
        let mut hand_over = HandOver::new(3)?;

        hand_over.record(1).set_refcount(4);
        assert_eq!(hand_over.why(), Some(Unreadable::Refcount(address(1), 4)));
        Ok(())
    }

    #[test]
    fn a_record_twice_is_refused() -> Result {
        let mut hand_over = HandOver::new(PER_BLOCK + 1)?;

        hand_over.record(PER_BLOCK).fill(address(3), 1);
        assert_eq!(hand_over.why(), Some(Unreadable::Twice(address(3))));
        Ok(())
    }

    #[test]
    fn a_block_with_a_wrong_count_is_refused() -> Result {
        for (n, count) in [(0, 0), (1, 0), (0, PER_BLOCK as u64 + 1), (1, u64::MAX)] {
            let mut hand_over = HandOver::new(2 * PER_BLOCK)?;

            hand_over.block(n).count = count;
            assert_eq!(
                hand_over.why(),
                Some(Unreadable::Chain(ChainError::Count(count)))
            );
        }
        Ok(())
    }

    #[test]
    fn a_chain_that_leads_nowhere_is_refused() -> Result {
        let elsewhere = page::<u64>()?;
        let addresses = [
            // In no memory, not the start of a page, and memory that was not preserved.
            u64::MAX << 12,
            handle(elsewhere).into_raw() + 8,
            handle(elsewhere).into_raw(),
            1,
        ];

        for address in addresses {
            let no_block = Unreadable::Chain(ChainError::NoBlock(at(address)));

            let mut hand_over = HandOver::new(1)?;
            hand_over.header().set_devices(at(address));
            assert_eq!(hand_over.why(), Some(no_block));

            let mut hand_over = HandOver::new(PER_BLOCK + 1)?;
            hand_over.block(0).next = address;
            assert_eq!(hand_over.why(), Some(no_block));
        }

        // SAFETY: The page was allocated by `page()`, and nobody uses it.
        unsafe { bindings::free_pages(elsewhere as usize, 0) };
        Ok(())
    }

    #[test]
    fn a_chain_that_loops_is_refused() -> Result {
        for (from, to) in [(1, 0), (1, 1), (2, 1)] {
            let mut hand_over = HandOver::new(3 * PER_BLOCK)?;
            let first = handle(hand_over.blocks[to]);

            hand_over.block(from).next = first.into_raw();
            assert_eq!(
                hand_over.why(),
                Some(Unreadable::Chain(ChainError::NoBlock(first)))
            );
        }

        // The header as the first block.
        let mut hand_over = HandOver::new(1)?;
        let header = handle(hand_over.header);
        hand_over.header().set_devices(header);
        assert_eq!(
            hand_over.why(),
            Some(Unreadable::Chain(ChainError::NoBlock(header)))
        );
        Ok(())
    }

    #[test]
    fn a_chain_that_ends_early_is_refused() -> Result {
        let mut hand_over = HandOver::new(2 * PER_BLOCK)?;

        hand_over.block(0).next = 0;
        assert_eq!(
            hand_over.why(),
            Some(Unreadable::Count {
                header: 2 * PER_BLOCK as u32,
                records: PER_BLOCK as u32
            })
        );
        Ok(())
    }

    #[test]
    fn no_header_is_refused() {
        let handle = at(0x1001);
        let read = KBox::try_pin_init(Incoming::read(handle, Unreadable::from), GFP_KERNEL);

        assert_eq!(read.err(), Some(Unreadable::NoHeader(handle)));
    }

    #[test]
    fn blocks_before_a_broken_one_are_left_alone() -> Result {
        let page = page::<Block>()?;
        let nowhere = at(0x1001);

        // SAFETY: The page is ours, and zeroed, which is a valid `Block`.
        let block = unsafe { &mut *page };
        block.count = 1;
        block.next = nowhere.into_raw();
        // SAFETY: The page was allocated by `page()`, and we give it up.
        unsafe { bindings::kho_mark_restorable(bindings::virt_to_page(page.cast())) };

        let restored = RestoredBlockSet::<Record>::restore(handle(page));
        assert_eq!(restored.err(), Some(ChainError::NoBlock(nowhere)));
        // SAFETY: The page is there, whoever has it.
        let references = unsafe { bindings::folio_ref_count(bindings::virt_to_folio(page.cast())) };
        assert_eq!(references, 1);

        // SAFETY: The page was allocated by `page()`, and nobody else has it.
        unsafe { bindings::free_pages(page as usize, 0) };
        Ok(())
    }

    #[test]
    fn memory_is_restored_from_its_start_once_and_no_more_of_it() -> Result {
        const MORE: usize = 2 * bindings::PAGE_SIZE;
        let page = page::<u64>()?;
        let start = handle(page);
        let middle = at(start.into_raw() + 8);

        // SAFETY: The page was allocated by `page()`, and we give it up.
        unsafe { bindings::kho_mark_restorable(bindings::virt_to_page(page.cast())) };
        assert!(middle.peek::<u64>().is_err());
        assert!(Restored::<u64>::restore(middle).is_err());
        assert!(Restored::<[u8; MORE]>::restore(start).is_err());

        // Who looks leaves it there.
        assert_eq!(start.peek::<u64>(), Ok(0));
        let restored = Restored::<u64>::restore(start)?;
        assert!(start.peek::<u64>().is_err());
        assert!(Restored::<u64>::restore(start).is_err());
        drop(restored);
        Ok(())
    }

    #[test]
    fn kho_is_on() {
        // The tests above would fail for lack of it, and not say why.
        assert!(kho::is_enabled());
    }
}
