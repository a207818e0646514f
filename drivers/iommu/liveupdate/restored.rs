// SPDX-License-Identifier: GPL-2.0

//! Page tables of the previous kernel that hardware has, until it has others.

use crate::{
    abi::Record,
    table::{
        self,
        Page,
        Visitor, //
    }, //
};
use core::ops::Range;
use kernel::{
    bindings,
    new_mutex,
    prelude::*,
    rbtree::RBTree,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Mutex,
        SetOnce, //
    }, //
};

/// Whether there is a page of the previous kernel at an address.
pub(crate) fn is_handed_over(address: u64) -> bool {
    let mut byte = 0u8;

    // SAFETY: The function accepts any address, and there is room for a byte.
    unsafe { bindings::kho_peek(address, (&raw mut byte).cast(), 1) == 0 }
}

/// All that there are.
static IN_USE: SetOnce<Pin<KBox<InUse>>> = SetOnce::new();

/// Page tables.
#[pin_data]
struct InUse {
    /// With how many domains each is in: devices behind several IOMMUs may have the same.
    #[pin]
    tables: Mutex<KVec<(Record, usize)>>,
    count: Atomic<i32>,
}

impl InUse {
    /// Counts a domain with the page table of a device.
    fn add(record: &Record) -> Result {
        if IN_USE.as_ref().is_none() {
            // This comes first, and is called for one IOMMU after the other.
            IN_USE.populate(KBox::pin_init(
                pin_init!(Self {
                    tables <- new_mutex!(KVec::new(), "iommu_liveupdate_in_use"),
                    count: Atomic::new(0),
                }),
                GFP_KERNEL,
            )?);
        }

        let this = IN_USE.as_ref().ok_or(ENOMEM)?;
        let mut tables = this.tables.lock();

        match tables.iter_mut().find(|(table, _)| table.top == record.top) {
            Some((_, domains)) => *domains += 1,
            None => {
                tables.push((*record, 1), GFP_KERNEL)?;
                this.count.add(1, Relaxed);
            }
        }
        Ok(())
    }

    /// Counts one less. Tells whether that was the last.
    fn remove(record: &Record) -> bool {
        let Some(this) = IN_USE.as_ref() else {
            return false;
        };
        let mut tables = this.tables.lock();
        let before = tables.len();

        tables.retain(|(table, domains)| {
            *domains -= usize::from(table.top == record.top);
            *domains != 0
        });

        let is_last = tables.len() < before;

        if is_last {
            this.count.add(-1, Relaxed);
        }
        is_last
    }
}

/// Takes note that hardware has the page table of a device.
pub(crate) fn use_table(record: &Record) -> Result {
    InUse::add(record)
}

/// Whether hardware has a page table of the previous kernel.
pub(crate) fn is_any_in_use() -> bool {
    IN_USE
        .as_ref()
        .is_some_and(|in_use| in_use.count.load(Relaxed) != 0)
}

/// Looks for memory that a page table leads to, in ranges that do not overlap: the end of each, by
/// its start.
pub(crate) struct Find(RBTree<u64, u64>);

impl Find {
    pub(crate) fn new(ranges: impl Iterator<Item = Range<u64>>) -> Result<Self> {
        let mut tree = RBTree::new();

        for range in ranges {
            tree.try_create_and_insert(range.start, range.end, GFP_KERNEL)?;
        }
        Ok(Self(tree))
    }
}

impl Visitor for Find {
    fn table(&mut self, address: u64) -> Result<Option<Page>> {
        // SAFETY: Hardware still has the page table, so that it isn't freed before the lock of
        // these is dropped, which the caller holds.
        Ok(is_handed_over(address).then(|| unsafe { Page::new(address) }))
    }

    fn leaf(&mut self, _iova: u64, address: u64, size: u64) -> Result {
        // If any overlaps, so does the last one that begins before its end.
        let last = match self.0.cursor_lower_bound(&(address + size)) {
            Some(next) => next.peek_prev().map(|(_, end)| *end),
            None => self.0.cursor_back().map(|last| *last.current().1),
        };

        match last {
            Some(end) if end > address => Err(EEXIST),
            _ => Ok(()),
        }
    }
}

/// Whether a page table of the previous kernel that hardware has leads to any of some ranges of
/// memory, which don't overlap.
///
/// # Errors
///
/// `ENOMEM`.
pub(crate) fn is_mapped(ranges: impl Iterator<Item = Range<u64>>) -> Result<bool> {
    let Some(in_use) = IN_USE.as_ref() else {
        return Ok(false);
    };
    let mut find = Find::new(ranges)?;

    for (record, _) in in_use.tables.lock().iter() {
        match table::visit(record.top, record.levels, &mut find) {
            Err(EEXIST) => return Ok(true),
            result => result?,
        }
    }
    Ok(false)
}

/// Takes over the tables that it visits, and frees them.
struct Free;

impl Visitor for Free {
    fn table(&mut self, address: u64) -> Result<Option<Page>> {
        // SAFETY: The function accepts any address.
        let folio = unsafe { bindings::kho_try_restore_folio(address, bindings::PAGE_SIZE) };

        // SAFETY: If there is one, it was just restored, and is ours until it is put.
        Ok((!folio.is_null()).then(|| unsafe { Page::new(address) }))
    }

    fn leaf(&mut self, _iova: u64, _address: u64, _size: u64) -> Result {
        Ok(())
    }

    fn left(&mut self, page: Page) {
        // SAFETY: It is one that `table()` has restored, to which nobody else has a reference.
        unsafe { bindings::folio_put(bindings::virt_to_folio(page.as_ptr())) };
    }
}

/// Takes note that a domain has the page table of a device no more. It is freed with the last one,
/// if that is to be so. What it maps is none of its own.
pub(crate) fn unuse_table(record: &Record, free: bool) {
    if InUse::remove(record) && free {
        // It gives no error.
        let _ = table::visit(record.top, record.levels, &mut Free);
    }
}
