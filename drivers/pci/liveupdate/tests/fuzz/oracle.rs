// SPDX-License-Identifier: GPL-2.0

//! What is to become of a hand-over, found out in the most simple way.
//!
//! Shares nothing with the code that is tested but names: no constant, no order in which things are
//! looked at. So where several things are wrong it doesn't say which is found.

use super::hand_over::{
    HandOver,
    PAGES, //
};
use crate::{
    tests::page::{
        block,
        header,
        offset,
        record,
        PER_BLOCK, //
    },
    validate::Unreadable, //
};
use kernel::{
    kho,
    pci::Address,
    prelude::*, //
};

/// How a chain of blocks ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Good,
    NoBlock(u64),
    Count(u64),
}

/// All that there is to know about a hand-over.
pub(super) struct Oracle {
    header: Option<usize>,
    version: u64,
    nr_devices: u64,
    /// The pages of the blocks. If there is one with a wrong count, it is the last.
    chain: KVec<usize>,
    end: End,
    /// The records in use, by their addresses: these, and the reference counts.
    records: KVec<(u64, u64)>,
    free: usize,
}

impl Oracle {
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            header: None,
            version: 0,
            nr_devices: 0,
            chain: KVec::with_capacity(PAGES, GFP_KERNEL)?,
            end: End::Good,
            records: KVec::with_capacity(PAGES * PER_BLOCK, GFP_KERNEL)?,
            free: 0,
        })
    }

    /// Looks at a hand-over.
    pub(super) fn ask(&mut self, hand_over: &HandOver) -> Result {
        let page_at = |address| {
            (0..PAGES)
                .find(|n| hand_over.is_preserved[*n] && hand_over.pages[*n].address() == address)
        };

        self.chain.clear();
        self.records.clear();
        self.free = 0;
        self.end = End::Good;
        self.header = page_at(hand_over.address);

        let Some(first) = self.header else {
            return Ok(());
        };
        let page = &hand_over.pages[first];

        self.version = page.get::<4>(header::VERSION);
        self.nr_devices = page.get::<4>(header::NR_DEVICES);

        let mut next = page.get::<8>(header::DEVICES);

        while next != 0 {
            let Some(n) = page_at(next).filter(|n| *n != first && !self.chain.contains(n)) else {
                self.end = End::NoBlock(next);
                break;
            };
            let page = &hand_over.pages[n];
            let count = page.get::<8>(block::COUNT);

            self.chain.push(n, GFP_KERNEL)?;
            if !(1..=PER_BLOCK as u64).contains(&count) {
                self.end = End::Count(count);
                break;
            }

            for n in 0..count as usize {
                let at = offset(n);
                let domain = page.get::<4>(at + record::DOMAIN);
                let bdf = page.get::<2>(at + record::BDF);
                let refcount = page.get::<2>(at + record::REFCOUNT);

                if refcount == 0 {
                    self.free += 1;
                } else {
                    self.records
                        .push((domain << 16 | bdf, refcount), GFP_KERNEL)?;
                }
            }
            next = page.get::<8>(block::NEXT);
        }

        sort(&mut self.records);
        Ok(())
    }

    fn count_is_wrong(&self) -> bool {
        self.end == End::Good && self.records.len() as u64 != self.nr_devices
    }

    /// Whether it can be read.
    pub(super) fn is_readable(&self) -> bool {
        let twice = self.records.windows(2).any(|pair| pair[0].0 == pair[1].0);

        self.header.is_some()
            && self.version == 2
            && self.end == End::Good
            && !twice
            && !self.count_is_wrong()
    }

    /// Whether that is a reason not to read it.
    pub(super) fn agrees(&self, hand_over: &HandOver, why: Unreadable) -> bool {
        let key = |address: Address| u64::from(address.domain) << 16 | u64::from(address.bdf);

        if let Unreadable::Memory(kho::Unreadable::NoRecord(address)) = why {
            return self.header.is_none() && address == hand_over.address;
        }
        if let Unreadable::Version(version) = why {
            return self.header.is_some() && self.version == u64::from(version) && version != 2;
        }
        if self.header.is_none() || self.version != 2 {
            return false;
        }

        match why {
            Unreadable::Memory(kho::Unreadable::NoBlock(address)) => {
                self.end == End::NoBlock(address)
            }
            Unreadable::Memory(kho::Unreadable::Count(count)) => self.end == End::Count(count),
            Unreadable::Count { header, records } => {
                self.count_is_wrong()
                    && self.nr_devices == u64::from(header)
                    && self.records.len() == records as usize
            }
            Unreadable::Twice(address) => {
                let key = key(address);

                self.records.iter().filter(|record| record.0 == key).count() > 1
            }
            _ => false,
        }
    }

    /// Which pages are taken over by a reader that comes to this result.
    ///
    /// One that stops at a record has taken over the blocks up to there: one at least.
    pub(super) fn agrees_with_pages(
        &self,
        is_taken: &[bool; PAGES],
        why: Option<Unreadable>,
    ) -> bool {
        let taken = |n: &usize| is_taken[*n];
        let all = is_taken.iter().filter(|is_taken| **is_taken).count();
        let Some(header) = self.header else {
            return all == 0;
        };
        let blocks = self.chain.iter().take_while(|n| taken(n)).count();
        let wanted = match why {
            Some(Unreadable::Version(_)) => 0..1,
            Some(Unreadable::Twice(_)) => 1..self.chain.len() + 1,
            _ => self.chain.len()..self.chain.len() + 1,
        };

        taken(&header) && all == 1 + blocks && wanted.contains(&blocks)
    }

    /// The records in use, by their addresses: these, and the reference counts.
    pub(super) fn records(&self) -> &[(u64, u64)] {
        &self.records
    }

    /// How many slots are free.
    pub(super) fn free(&self) -> usize {
        self.free
    }
}

/// Sorts records. What `core` has for it makes objtool wonder where its panics lead.
fn sort(records: &mut [(u64, u64)]) {
    for gap in [701, 301, 132, 57, 23, 10, 4, 1] {
        for end in gap..records.len() {
            let mut n = end;

            while n >= gap && records[n - gap] > records[n] {
                records.swap(n - gap, n);
                n -= gap;
            }
        }
    }
}
