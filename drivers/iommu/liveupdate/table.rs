// SPDX-License-Identifier: GPL-2.0

//! Page tables, as hardware reads them.

use kernel::{
    bindings,
    prelude::*, //
};

/// How many entries a table has, as a power of two.
const STRIDE: u32 = 9;

/// The size of a page, and of a table, as a power of two.
const PAGE_SHIFT: u32 = 12;

/// Where an entry leads to.
const ADDRESS: u64 = (1 << 52) - (1 << PAGE_SHIFT);

/// What is in an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Absent,
    /// The physical address of a table of the next lower level.
    Table(u64),
    /// The physical address of memory.
    Leaf(u64),
}

/// What an entry of a second-stage table of VT-d says, at a level: 1 is the lowest.
pub(crate) fn decode(entry: u64, level: u8) -> Entry {
    const READ_OR_WRITE: u64 = 3;
    const LARGE: u64 = 1 << 7;

    if entry & READ_OR_WRITE == 0 {
        Entry::Absent
    } else if level == 1 || entry & LARGE != 0 {
        // In a large page, the bits below are none of its address.
        Entry::Leaf(entry & ADDRESS & !(size(level) - 1))
    } else {
        Entry::Table(entry & ADDRESS)
    }
}

/// How much memory an entry covers.
pub(crate) fn size(level: u8) -> u64 {
    1 << (PAGE_SHIFT + STRIDE * u32::from(level - 1))
}

/// What there is in a page table.
pub(crate) trait Visitor {
    /// A table, before what it leads to; and what can be read of it, or `None` to leave it out.
    fn table(&mut self, address: u64) -> Result<Option<Page>>;

    /// Memory that can be reached, in the order of the addresses by which it is.
    fn leaf(&mut self, iova: u64, address: u64, size: u64) -> Result;

    /// A table, after what it leads to.
    fn left(&mut self, _page: Page) {}
}

/// A page that a table is in.
///
/// # Invariants
///
/// The pointer is to a page that is valid for reads. Hardware may write to it.
pub(crate) struct Page(*const u64);

impl Page {
    /// # Safety
    ///
    /// `address` must be the physical address of a page that stays allocated as long as this is
    /// used.
    pub(crate) unsafe fn new(address: u64) -> Self {
        // INVARIANT: The caller guarantees that it is a page, and pages are in the linear mapping.
        // SAFETY: The function only computes with it.
        Self(unsafe { bindings::phys_to_virt(address) }.cast())
    }

    pub(crate) fn as_ptr(&self) -> *const c_void {
        self.0.cast()
    }

    fn entry(&self, n: usize) -> u64 {
        assert!(n < 1 << STRIDE);
        // SAFETY: By the type invariant it is valid for that many entries.
        unsafe { self.0.add(n).read_volatile() }
    }
}

/// Goes through all that hardware finds, from the table at `top` on, which has that many levels.
pub(crate) fn visit(top: u64, levels: u8, visitor: &mut impl Visitor) -> Result {
    visit_table(top, levels, 0, visitor)
}

fn visit_table(address: u64, level: u8, iova: u64, visitor: &mut impl Visitor) -> Result {
    let Some(page) = visitor.table(address)? else {
        return Ok(());
    };

    for n in 0..1 << STRIDE {
        let iova = iova + n as u64 * size(level);

        match decode(page.entry(n), level) {
            Entry::Absent => {}
            Entry::Table(address) => visit_table(address, level - 1, iova, visitor)?,
            Entry::Leaf(address) => visitor.leaf(iova, address, size(level))?,
        }
    }
    visitor.left(page);
    Ok(())
}
