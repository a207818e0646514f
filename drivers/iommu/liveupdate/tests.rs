// SPDX-License-Identifier: GPL-2.0

//! KUnit tests of how page tables are read.
//!
//! What hardware makes of them is tested by `tools/testing/selftests/vfio_liveupdate/`.

use crate::{
    restored::Find,
    table::{
        decode,
        size,
        visit,
        Entry,
        Page,
        Visitor, //
    }, //
};
use kernel::{
    bindings,
    prelude::*, //
};

const READ: u64 = 1;
const WRITE: u64 = 2;
const LARGE: u64 = 1 << 7;

/// A table in memory.
///
/// # Invariants
///
/// The pointer is to a page from the page allocator, which belongs to the object.
struct Table(*mut u64);

impl Table {
    fn new() -> Result<Self> {
        let flags = bindings::GFP_KERNEL | bindings::__GFP_ZERO;
        // SAFETY: FFI call without requirements.
        let page = unsafe { bindings::get_free_pages_noprof(flags, 0) };

        if page == 0 {
            return Err(ENOMEM);
        }
        // INVARIANT: The page was just allocated.
        Ok(Self(page as *mut u64))
    }

    fn set(&mut self, n: usize, entry: u64) {
        assert!(n < 512);
        // SAFETY: By the type invariant there is a page, which has that many entries.
        unsafe { self.0.add(n).write(entry) };
    }

    fn address(&self) -> u64 {
        // SAFETY: By the type invariant it is a page of the linear mapping; the call only computes
        // with it.
        unsafe { bindings::virt_to_phys(self.0.cast()) }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the page is ours to free.
        unsafe { bindings::free_pages(self.0 as usize, 0) };
    }
}

/// Takes note of what it visits.
struct Seen {
    tables: KVec<u64>,
    leaves: KVec<(u64, u64, u64)>,
    left_out: Option<u64>,
}

impl Seen {
    fn by(top: &Table, levels: u8, left_out: Option<u64>) -> Result<Self> {
        let mut this = Self {
            tables: KVec::new(),
            leaves: KVec::new(),
            left_out,
        };

        visit(top.address(), levels, &mut this)?;
        Ok(this)
    }
}

impl Visitor for Seen {
    fn table(&mut self, address: u64) -> Result<Option<Page>> {
        if self.left_out == Some(address) {
            return Ok(None);
        }
        self.tables.push(address, GFP_KERNEL)?;
        // SAFETY: All tables of these tests are there as long as they are visited.
        Ok(Some(unsafe { Page::new(address) }))
    }

    fn leaf(&mut self, iova: u64, address: u64, size: u64) -> Result {
        Ok(self.leaves.push((iova, address, size), GFP_KERNEL)?)
    }
}

#[kunit_tests(iommu_liveupdate)]
mod kunit {
    use super::*;

    #[test]
    fn an_entry_covers_what_its_level_does() {
        assert_eq!(size(1), 4 << 10);
        assert_eq!(size(2), 2 << 20);
        assert_eq!(size(3), 1 << 30);
        assert_eq!(size(4), 512 << 30);
    }

    #[test]
    fn an_entry_that_allows_nothing_is_absent() {
        assert_eq!(decode(0, 1), Entry::Absent);
        assert_eq!(decode(0x1234_5000 | LARGE, 2), Entry::Absent);
        assert_eq!(decode(0x1234_5000 | READ, 1), Entry::Leaf(0x1234_5000));
        assert_eq!(decode(0x1234_5000 | WRITE, 1), Entry::Leaf(0x1234_5000));
    }

    #[test]
    fn an_entry_leads_to_a_table_or_to_memory() {
        assert_eq!(
            decode(0x1234_5000 | READ | WRITE, 2),
            Entry::Table(0x1234_5000)
        );
        assert_eq!(
            decode(0x1220_0000 | READ | LARGE, 2),
            Entry::Leaf(0x1220_0000)
        );
        assert_eq!(
            decode(0x4000_0000 | READ | LARGE, 3),
            Entry::Leaf(0x4000_0000)
        );
        // The bit means something else at the lowest level.
        assert_eq!(
            decode(0x1234_5000 | READ | LARGE, 1),
            Entry::Leaf(0x1234_5000)
        );
    }

    #[test]
    fn bits_that_are_no_address_are_left_out() {
        assert_eq!(decode(u64::MAX, 1), Entry::Leaf(0xf_ffff_ffff_f000));
        assert_eq!(decode(u64::MAX, 2), Entry::Leaf(0xf_ffff_ffe0_0000));
        assert_eq!(
            decode(u64::MAX & !LARGE, 2),
            Entry::Table(0xf_ffff_ffff_f000)
        );
    }

    #[test]
    fn all_that_can_be_reached_is_visited_in_order() -> Result {
        let (mut top, mut middle, mut low) = (Table::new()?, Table::new()?, Table::new()?);

        top.set(3, middle.address() | READ | WRITE);
        middle.set(0, low.address() | READ | WRITE);
        middle.set(511, 0x20_0000 | READ | LARGE);
        low.set(7, 0x5000 | WRITE);
        low.set(8, 0x9000 | READ);

        let seen = Seen::by(&top, 3, None)?;
        let base = 3 << 30;

        assert!(seen
            .tables
            .iter()
            .eq(&[top.address(), middle.address(), low.address()]));
        assert!(seen.leaves.iter().eq(&[
            (base + 0x7000, 0x5000, 0x1000),
            (base + 0x8000, 0x9000, 0x1000),
            (base + (511 << 21), 0x20_0000, 0x20_0000),
        ]));
        Ok(())
    }

    #[test]
    fn what_is_behind_a_table_that_cannot_be_read_is_left_out() -> Result {
        let (mut top, mut low) = (Table::new()?, Table::new()?);

        top.set(0, low.address() | READ);
        top.set(1, 0x20_0000 | READ | LARGE);
        low.set(0, 0x5000 | READ);

        let seen = Seen::by(&top, 2, Some(low.address()))?;

        assert!(seen.tables.iter().eq(&[top.address()]));
        assert!(seen.leaves.iter().eq(&[(0x20_0000, 0x20_0000, 0x20_0000)]));
        Ok(())
    }

    #[test]
    fn memory_is_found_if_any_of_it_can_be_reached() -> Result {
        let ranges = [0x1000..0x3000, 0x20_0000..0x40_0000];
        let mut find = Find::new(ranges.into_iter())?;
        let mut finds = |address, size| find.leaf(0, address, size) == Err(EEXIST);

        assert!(!finds(0, 0x1000));
        assert!(finds(0x1000, 0x1000));
        assert!(finds(0x2000, 0x1000));
        assert!(!finds(0x3000, 0x1000));
        assert!(!finds(0x1f_f000, 0x1000));
        assert!(finds(0x20_0000, 0x1000));
        assert!(finds(0x3f_f000, 0x1000));
        assert!(!finds(0x40_0000, 0x1000));
        // Larger than what is looked for, and beyond all of it.
        assert!(finds(0, 0x20_0000));
        assert!(!finds(0x100_0000, 0x20_0000));
        Ok(())
    }
}
