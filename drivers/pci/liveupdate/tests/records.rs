// SPDX-License-Identifier: GPL-2.0

//! KUnit tests of how devices are recorded, and how records are read.
//!
//! What is read lies in pages that KHO is told to regard as handed over. What kexec adds to it is
//! tested by `tools/testing/selftests/pci_liveupdate/`.

use super::{
    consistency::Report,
    page::{
        block,
        hand_over_at,
        header,
        offset,
        record,
        Page,
        PER_BLOCK,
        RECORD_SIZE, //
    },
    rescan::RescanLock, //
};
use crate::{
    abi::{
        Devices,
        Header,
        Record,
        VERSION, //
    },
    debugfs::State,
    incoming::Records,
    outgoing::Outgoing,
    state::{
        key,
        Device, //
    },
    validate::Unreadable, //
};
use kernel::{
    bindings,
    kho::{
        self,
        Format,
        Memory, //
    },
    pci::Address,
    prelude::*,
    sync::atomic::Relaxed, //
};

/// The `n`th of many addresses, spread over domains.
pub(super) fn address(n: usize) -> Address {
    Address {
        domain: (n >> 16) as u32,
        bdf: n as u16,
    }
}

/// A hand-over as another kernel might have left it: whatever the bytes are.
pub(super) struct HandOver {
    pub(super) header: Page,
    pub(super) blocks: KVec<Page>,
}

impl HandOver {
    /// A hand-over of the first `n` addresses, in good order.
    pub(super) fn new(n: usize) -> Result<Self> {
        let mut this = Self {
            header: Page::new()?,
            blocks: KVec::new(),
        };

        this.header.set::<4>(header::VERSION, VERSION.into());
        this.header.set::<4>(header::NR_DEVICES, n as u64);
        for first in (0..n).step_by(PER_BLOCK) {
            let count = PER_BLOCK.min(n - first);
            let mut page = Page::new()?;

            page.set::<8>(block::COUNT, count as u64);
            match this.blocks.last_mut() {
                Some(last) => last.set::<8>(block::NEXT, page.address()),
                None => this.header.set::<8>(header::DEVICES, page.address()),
            }
            this.blocks.push(page, GFP_KERNEL)?;
            for n in first..first + count {
                this.set(n, address(n), 1);
            }
        }
        Ok(this)
    }

    /// Changes the `n`th record.
    fn set(&mut self, n: usize, address: Address, refcount: u16) {
        let (page, at) = (&mut self.blocks[n / PER_BLOCK], offset(n % PER_BLOCK));

        page.set::<4>(at + record::DOMAIN, address.domain.into());
        page.set::<2>(at + record::BDF, address.bdf.into());
        page.set::<2>(at + record::REFCOUNT, refcount.into());
    }

    /// Hands it over, and reads it as the next kernel does.
    pub(super) fn read(&self) -> Result<Pin<KBox<Records>>, Unreadable> {
        self.header.preserve();
        self.blocks.iter().for_each(Page::preserve);
        Records::read(self.header.hand_over())
    }

    /// It was read, and with that its pages were given back.
    pub(super) fn forget(self) {
        self.header.forget();
        self.blocks.into_iter().for_each(Page::forget);
    }

    fn into_records(self) -> Result<Pin<KBox<Records>>, Unreadable> {
        let records = self.read()?;

        self.forget();
        Ok(records)
    }

    /// Why it can't be read.
    fn why(&self) -> Option<Unreadable> {
        self.read().err()
    }
}

/// What is wrong with the memory.
fn memory(why: kho::Unreadable) -> Option<Unreadable> {
    Some(Unreadable::Memory(why))
}

pub(super) fn new_memory() -> Result<Pin<KBox<Memory<Devices>>>> {
    KBox::pin_init(Memory::new(Header::new()), GFP_KERNEL)
}

/// What the memory leads to, as the next kernel reads it.
pub(super) fn written(memory: &Memory<Devices>) -> Result<KVVec<Record>> {
    let header = core::ptr::from_ref(memory.record());
    // What has to be added to a physical address in the linear mapping.
    let linear = (header.addr() as u64).wrapping_sub(memory.address());
    let mut records = KVVec::new();
    // SAFETY: The compiler checks that size and layout are the same.
    let mut next = unsafe { header.cast::<bindings::pci_ser>().read() }.devices;

    while next != 0 {
        let page = next.wrapping_add(linear) as usize as *const u64;
        // SAFETY: It is a block of the memory, which begins with its two fields.
        let (following, count) = unsafe { (page.read(), page.add(1).read()) };

        if !(1..=PER_BLOCK as u64).contains(&count) {
            return Err(EBADMSG);
        }
        for n in 0..count as usize {
            // SAFETY: It has that many entries. The compiler checks that size and layout are those
            // of C.
            let record = unsafe { page.byte_add(offset(n)).cast::<Record>().read() };

            records.push(record, GFP_KERNEL)?;
        }
        next = following;
    }
    Ok(records)
}

/// The device that the tests preserve, if there is one.
pub(super) fn with_device(f: impl FnOnce(Device<'_>, &RescanLock) -> Result) -> Result {
    let rescan = RescanLock::lock();
    let device = rescan.devices().find(|device| {
        let device = Device::new(device);

        !device.is_bridge()
            && !device.path().any(|device| device.is_outgoing())
            && device.upstream_bridges().count() > 0
    });

    match device {
        Some(device) => f(Device::new(&device), &rescan),
        None => {
            pr_info!("there is no device below a bridge\n");
            Ok(())
        }
    }
}

#[kunit_tests(pci_liveupdate)]
mod cases {
    use super::*;

    #[test]
    fn keys_are_unique_and_ordered() {
        let key = |domain, bdf| key(Address { domain, bdf });

        assert_eq!(key(0, 0), 0);
        assert_eq!(key(0, 0xffff), 0xffff);
        assert_eq!(key(1, 0), 0x1_0000);
        assert_eq!(key(u32::MAX, u16::MAX), 0xffff_ffff_ffff);
        for key in [0, 0xffff, 0x1_0000, 0xffff_ffff_ffff] {
            assert_eq!(super::key(crate::state::address(key)), key);
        }
    }

    #[test]
    fn the_format_is_that_of_the_header() -> Result {
        let address = Address {
            domain: 0x1234_5678,
            bdf: 0x9abc,
        };

        assert_eq!(Devices::NAME.to_bytes(), b"pci");
        assert_eq!(VERSION, 2);
        // 510 where a page has 4 KiB.
        assert_eq!(PER_BLOCK, (bindings::PAGE_SIZE - 16) / RECORD_SIZE);

        // What Rust writes, C reads.
        let record = Record::new(address, 0xdef0);
        // SAFETY: The compiler checks that size and layout are the same.
        let record = unsafe { core::mem::transmute::<Record, bindings::pci_dev_ser>(record) };
        assert_eq!({ record.domain }, 0x1234_5678);
        assert_eq!({ record.bdf }, 0x9abc);
        assert_eq!({ record.refcount }, 0xdef0);

        let mut memory = new_memory()?;
        memory.as_mut().reserve(1)?;
        memory.as_mut().write([Record::new(address, 1)])?;
        memory.as_mut().update(|header| header.nr_devices = 1);
        let header = core::ptr::from_ref(memory.record()).cast::<bindings::pci_ser>();
        // SAFETY: The compiler checks that size and layout are the same.
        let header = unsafe { header.read() };
        assert_eq!({ header.version }, 2);
        assert_eq!({ header.nr_devices }, 1);
        assert_ne!({ header.devices }, 0);
        Ok(())
    }

    #[test]
    fn what_is_written_is_what_is_read() -> Result {
        let mut memory = new_memory()?;
        let records = |n| (0..n).map(|n| Record::new(address(n), 1 + n as u16 % 7));

        memory.as_mut().reserve(100_000)?;
        // More, and fewer: what is left over is given back, as a block without an entry is refused.
        for n in [100_000, 3 * PER_BLOCK + 1, 3 * PER_BLOCK, PER_BLOCK, 1, 0] {
            memory.as_mut().write(records(n))?;
            assert!(written(&memory)?.iter().copied().eq(records(n)));
            assert_eq!(memory.capacity(), n.next_multiple_of(PER_BLOCK));
        }

        // Where there is no room there is an error, and what can be read.
        memory.as_mut().reserve(1)?;
        assert_eq!(memory.as_mut().write(records(PER_BLOCK + 1)), Err(ENOSPC));
        assert_eq!(written(&memory)?.len(), PER_BLOCK);
        Ok(())
    }

    #[test]
    fn nobody_changes_where_a_record_leads_to() -> Result {
        let mut memory = new_memory()?;
        let other = {
            let mut other = new_memory()?;

            other.as_mut().reserve(1)?;
            other.as_mut().write([Record::new(address(1), 1)])?;
            other
                .as_mut()
                .update(|header| core::mem::replace(header, Header::new()))
        };

        memory.as_mut().update(|header| *header = other);
        assert_eq!(written(&memory)?.len(), 0);
        Ok(())
    }

    #[test]
    fn devices_come_and_go_with_their_bridges() -> Result {
        with_device(|device, rescan| {
            let mut outgoing = Outgoing::new();
            let all = device.path().count();
            let is_right = |outgoing: &Outgoing, len: usize| {
                let mut report = Report::new(None);

                outgoing.check(rescan, &mut report);
                report.problems() == 0 && outgoing.len() == len
            };

            assert_eq!(outgoing.preserve(device, None), Ok(all));
            assert!(is_right(&outgoing, all));
            assert!(outgoing.records().all(|record| record.refcount == 1));
            assert_eq!(outgoing.preserve(device, None), Err(EBUSY));
            assert!(is_right(&outgoing, all));

            let bridge = device.upstream_bridges().next().ok_or(ENODEV)?;
            assert_eq!(outgoing.unpreserve(bridge), Err(ENOENT));

            // What does not fit together is noticed.
            for wrong in device.path() {
                let place = wrong.outgoing().xchg(0, Relaxed);

                assert!(!is_right(&outgoing, all));
                wrong.outgoing().store(place, Relaxed);
            }
            assert!(is_right(&outgoing, all));

            assert_eq!(outgoing.unpreserve(device), Ok(all));
            assert!(is_right(&outgoing, 0));
            assert_eq!(outgoing.unpreserve(device), Err(ENOENT));

            // Whoever forgets to.
            assert_eq!(outgoing.preserve(device, None), Ok(all));
            drop(outgoing);
            assert!(!device.path().any(|device| device.is_outgoing()));
            Ok(())
        })
    }

    #[test]
    fn an_empty_hand_over_is_read() -> Result {
        let records = HandOver::new(0)?.into_records()?;

        assert_eq!(records.iter().count(), 0);
        assert!(records.find(address(0)).is_none());
        Ok(())
    }

    #[test]
    fn records_are_found_by_their_addresses() -> Result {
        const MANY: usize = 3 * PER_BLOCK + 5;
        let records = HandOver::new(MANY)?.into_records()?;

        assert_eq!(records.iter().count(), MANY);
        assert!((0..MANY).all(|n| records.find(address(n)) == Some(1)));
        assert!(records.find(address(MANY)).is_none());
        Ok(())
    }

    #[test]
    fn records_are_read_in_any_order() -> Result {
        const MANY: usize = PER_BLOCK + 3;
        let mut hand_over = HandOver::new(MANY)?;

        for n in 0..MANY {
            hand_over.set(n, address(MANY - 1 - n), 1);
        }
        let records = hand_over.into_records()?;
        assert!(records
            .iter()
            .map(|record| record.address())
            .eq((0..MANY).map(address)));
        Ok(())
    }

    #[test]
    fn free_slots_are_left_out() -> Result {
        let mut hand_over = HandOver::new(10)?;

        for n in [0, 4, 9] {
            hand_over.set(n, address(0), 0);
        }
        hand_over.header.set::<4>(header::NR_DEVICES, 7);
        let records = hand_over.into_records()?;
        assert_eq!(records.iter().count(), 7);
        assert!(records.find(address(4)).is_none());
        assert!(records.find(address(5)).is_some());
        Ok(())
    }

    #[test]
    fn a_finished_device_is_not_found_but_listed() -> Result {
        let records = HandOver::new(2)?.into_records()?;

        assert!(records.lock().finish_record(address(1)));
        assert!(!records.lock().finish_record(address(1)));
        assert!(!records.lock().finish_record(address(2)));
        assert!(records.find(address(1)).is_none());
        assert!(records.find(address(0)).is_some());
        assert_eq!(records.iter().count(), 2);
        Ok(())
    }

    #[test]
    fn a_bridge_has_any_number_of_devices_below_it() -> Result {
        let mut hand_over = HandOver::new(3)?;

        // A driver of another kernel may have counted it several times.
        hand_over.set(0, address(0), 2);
        hand_over.set(1, address(1), u16::MAX);
        let records = hand_over.into_records()?;
        assert_eq!(records.find(address(0)), Some(2));
        assert_eq!(records.find(address(1)), Some(u16::MAX));
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
        let records = HandOver::new(1)?.into_records()?;

        with_device(|device, _| {
            records.lock().note_removed(device);
            assert!(records.lock().was_removed(device.address()));
            records.lock().close();
            assert!(records.lock().is_none_removed());
            assert!(records.find(address(0)).is_none());
            records.lock().note_removed(device);
            assert!(records.lock().is_none_removed());
            Ok(())
        })
    }

    #[test]
    fn memory_is_given_back_once_it_was_read() -> Result {
        let hand_over = HandOver::new(1)?;

        // Who has one of them meanwhile sees it given back.
        let Ok(mut taken_over) = ({
            hand_over.header.preserve();
            hand_over.blocks[0].preserve();
            hand_over.header.hand_over().take_over()
        }) else {
            return Err(EBADMSG);
        };
        assert!(Records::parse(&mut taken_over).is_ok());
        for page in [&hand_over.header, &hand_over.blocks[0]] {
            assert!(!page.is_preserved());
            page.keep();
            assert_eq!(page.references(), 2);
        }
        taken_over.free();
        for page in [&hand_over.header, &hand_over.blocks[0]] {
            assert_eq!(page.references(), 1);
        }
        Ok(())
    }

    #[test]
    fn another_version_is_refused() -> Result {
        for version in [0, 1, 3, u32::MAX] {
            let mut hand_over = HandOver::new(1)?;

            hand_over.header.set::<4>(header::VERSION, version.into());
            assert_eq!(hand_over.why(), Some(Unreadable::Version(version)));
            // Nothing but the version is looked at.
            assert!(hand_over.blocks[0].is_preserved());
            hand_over.blocks[0].take_back();
        }
        Ok(())
    }

    #[test]
    fn a_wrong_count_is_refused() -> Result {
        for (nr_devices, records) in [(2, 3), (4, 3), (u32::MAX, 3), (1, 0)] {
            let mut hand_over = HandOver::new(records as usize)?;

            hand_over
                .header
                .set::<4>(header::NR_DEVICES, nr_devices.into());
            let count = Unreadable::Count {
                header: nr_devices,
                records,
            };
            assert_eq!(hand_over.why(), Some(count));
        }
        Ok(())
    }

    #[test]
    fn a_record_twice_is_refused() -> Result {
        let mut hand_over = HandOver::new(PER_BLOCK + 1)?;

        hand_over.set(PER_BLOCK, address(3), 1);
        assert_eq!(hand_over.why(), Some(Unreadable::Twice(address(3))));
        Ok(())
    }

    #[test]
    fn a_block_with_a_wrong_count_is_refused() -> Result {
        for (n, count) in [(0, 0), (1, 0), (0, PER_BLOCK as u64 + 1), (1, u64::MAX)] {
            let mut hand_over = HandOver::new(2 * PER_BLOCK)?;

            hand_over.blocks[n].set::<8>(block::COUNT, count);
            assert_eq!(hand_over.why(), memory(kho::Unreadable::Count(count)));
            hand_over.blocks[1].take_back();
        }
        Ok(())
    }

    #[test]
    fn a_chain_that_leads_nowhere_is_refused() -> Result {
        let elsewhere = Page::new()?;
        let addresses = [
            // In no memory, not the start of a page, and memory that was not preserved.
            u64::MAX << 12,
            elsewhere.address() + 8,
            elsewhere.address(),
            1,
        ];

        for address in addresses {
            let no_block = memory(kho::Unreadable::NoBlock(address));

            let mut hand_over = HandOver::new(1)?;
            hand_over.header.set::<8>(header::DEVICES, address);
            assert_eq!(hand_over.why(), no_block);
            hand_over.blocks[0].take_back();

            let mut hand_over = HandOver::new(PER_BLOCK + 1)?;
            hand_over.blocks[0].set::<8>(block::NEXT, address);
            assert_eq!(hand_over.why(), no_block);
            hand_over.blocks[1].take_back();
        }
        Ok(())
    }

    #[test]
    fn a_chain_that_loops_is_refused() -> Result {
        for (from, to) in [(1, 0), (1, 1), (2, 1)] {
            let mut hand_over = HandOver::new(3 * PER_BLOCK)?;
            let again = hand_over.blocks[to].address();

            hand_over.blocks[from].set::<8>(block::NEXT, again);
            assert_eq!(hand_over.why(), memory(kho::Unreadable::NoBlock(again)));
            hand_over.blocks[2].take_back();
        }

        // The header as the first block.
        let mut hand_over = HandOver::new(1)?;
        let again = hand_over.header.address();
        hand_over.header.set::<8>(header::DEVICES, again);
        assert_eq!(hand_over.why(), memory(kho::Unreadable::NoBlock(again)));
        hand_over.blocks[0].take_back();
        Ok(())
    }

    #[test]
    fn a_chain_that_ends_early_is_refused() -> Result {
        let mut hand_over = HandOver::new(2 * PER_BLOCK)?;

        hand_over.blocks[0].set::<8>(block::NEXT, 0);
        let count = Unreadable::Count {
            header: 2 * PER_BLOCK as u32,
            records: PER_BLOCK as u32,
        };
        assert_eq!(hand_over.why(), Some(count));
        hand_over.blocks[1].take_back();
        Ok(())
    }

    #[test]
    fn no_header_is_refused() -> Result {
        let page = Page::new()?;

        for nowhere in [0x1001, page.address(), page.address() + 8] {
            assert_eq!(
                Records::read(hand_over_at(nowhere)).err(),
                memory(kho::Unreadable::NoRecord(nowhere))
            );
        }
        Ok(())
    }

    #[test]
    fn what_cannot_be_read_is_left_alone() -> Result {
        let mut hand_over = HandOver::new(2 * PER_BLOCK)?;

        hand_over.blocks[1].set::<8>(block::NEXT, 0x1001);
        assert_eq!(hand_over.why(), memory(kho::Unreadable::NoBlock(0x1001)));
        assert_eq!(hand_over.header.references(), 1);
        assert!(hand_over.blocks.iter().all(|page| page.references() == 1));
        Ok(())
    }

    #[test]
    fn memory_is_taken_over_once() -> Result {
        let page = Page::new()?;

        page.preserve();
        // Who looks leaves it there.
        assert!(page.hand_over().record().is_ok());
        let taken_over = page.hand_over().take_over();
        assert!(taken_over.is_ok());
        assert!(page.hand_over().record().is_err());
        assert!(page.hand_over().take_over().is_err());
        // Who drops it leaves it allocated.
        drop(taken_over);
        assert_eq!(page.references(), 1);
        Ok(())
    }

    #[test]
    fn kho_is_on() {
        // The tests above would fail for lack of it, and not say why.
        assert!(kho::is_enabled());
    }
}
