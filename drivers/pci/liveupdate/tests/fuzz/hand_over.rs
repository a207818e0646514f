// SPDX-License-Identifier: GPL-2.0

//! Hand-overs: good ones, and what can become of them.

use super::random::Random;
use crate::tests::page::{
    self,
    block,
    header,
    offset,
    record,
    Page,
    HEADER_SIZE,
    PER_BLOCK,
    RECORD_SIZE, //
};
use kernel::prelude::*;

/// How many blocks a hand-over has at most.
const BLOCKS: usize = 3;

/// The header, blocks, and two that nothing leads to, unless it is by mistake.
pub(super) const PAGES: usize = 1 + BLOCKS + 2;

/// The page of these that is preserved.
const STRAY: usize = 1 + BLOCKS;

/// A hand-over.
pub(super) struct HandOver {
    pub(super) pages: [Page; PAGES],
    /// Which of the pages were preserved.
    pub(super) is_preserved: [bool; PAGES],
    /// Where the header is said to be.
    pub(super) address: u64,
    /// How many blocks it was made of.
    blocks: usize,
    /// How many records each of them has.
    counts: [usize; BLOCKS],
}

impl HandOver {
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            pages: [
                Page::new()?,
                Page::new()?,
                Page::new()?,
                Page::new()?,
                Page::new()?,
                Page::new()?,
            ],
            is_preserved: [false; PAGES],
            address: 0,
            blocks: 0,
            counts: [0; BLOCKS],
        })
    }

    /// Makes another one of it, which can be read or not.
    pub(super) fn make(&mut self, random: &mut Random) {
        for page in &mut self.pages {
            fill(page, random);
        }
        self.make_good(random);

        let mistakes = random.pick(&[0, 0, 1, 1, 1, 1, 2, 4]);

        for _ in 0..mistakes {
            self.make_mistake(random);
        }
    }

    /// Makes a hand-over that can be read. Where it has no say, the pages stay as they are.
    fn make_good(&mut self, random: &mut Random) {
        self.address = self.pages[0].address();
        self.blocks = random.pick(&[0, 1, 1, 1, 1, 2, 2, 3]);
        self.is_preserved = core::array::from_fn(|n| n <= self.blocks || n == STRAY);

        // As in a domain or two, or all over.
        let first = random.bits();
        let step = random.pick(&[1, 7, 0x101, 0xffff]);
        let mut in_use = 0;

        for n in 0..self.blocks {
            let is_last = n + 1 == self.blocks;
            let count = match random.below(64) {
                0 => PER_BLOCK,
                1..8 => random.within(1..40),
                _ => random.within(1..9),
            };
            let next = if is_last {
                0
            } else {
                self.pages[n + 2].address()
            };
            let page = &mut self.pages[n + 1];

            page.set::<8>(block::NEXT, next);
            page.set::<8>(block::COUNT, count as u64);
            self.counts[n] = count;

            for slot in 0..count {
                let at = offset(slot);
                let key = first.wrapping_add(step * (n * PER_BLOCK + slot) as u64);
                let is_free = random.one_in(8);

                if !is_free || random.one_in(4) {
                    page.set::<4>(at + record::DOMAIN, key >> 16);
                    page.set::<2>(at + record::BDF, key);
                } else {
                    page.bytes_mut()[at..at + RECORD_SIZE].fill(0);
                }
                page.set::<2>(at + record::REFCOUNT, u64::from(!is_free));
                in_use += u64::from(!is_free);
            }
        }

        let first = if self.blocks == 0 {
            0
        } else {
            self.pages[1].address()
        };

        self.pages[0].set::<4>(header::VERSION, 2);
        self.pages[0].set::<4>(header::NR_DEVICES, in_use);
        self.pages[0].set::<8>(header::DEVICES, first);
    }

    /// Changes something. Mostly it is wrong after that.
    fn make_mistake(&mut self, random: &mut Random) {
        match random.below(20) {
            0 => self.change::<4>(0, header::VERSION, random),
            1 => self.change::<4>(0, header::NR_DEVICES, random),
            2 => self.lead_astray(0, header::DEVICES, random),
            3 => self.address = self.some_address(self.address, random),
            4 => self.is_preserved[random.below(PAGES)] ^= true,
            5 => fill(&mut self.pages[random.below(PAGES)], random),
            6 => {
                let (page, offset) = self.some_byte(random);

                self.pages[page].bytes_mut()[offset] ^= 1 << random.below(8);
            }
            7 => {
                let (page, offset) = self.some_byte(random);

                self.change::<8>(page, offset & !7, random);
            }
            _ if self.blocks == 0 => self.change::<8>(0, header::DEVICES, random),
            8 => self.lead_astray(self.some_block(random), block::NEXT, random),
            9 | 10 => {
                let near = random.pick(&[0, PER_BLOCK as u64]);
                let count = random.edge(near);
                let count = random.pick(&[count, 0, PER_BLOCK as u64, PER_BLOCK as u64 + 1]);

                self.pages[self.some_block(random)].set::<8>(block::COUNT, count);
            }
            11 => {
                // What is after the last record, or before it.
                let count = random.within(1..PER_BLOCK + 1);

                self.pages[self.some_block(random)].set::<8>(block::COUNT, count as u64);
            }
            12 | 13 => {
                // A record twice, or over another one.
                let (from, from_offset) = self.some_record(random);
                let (to, to_offset) = self.some_record(random);
                let key = self.pages[from].get::<8>(from_offset);

                self.pages[to].set::<8>(to_offset, key);
            }
            14 | 15 => {
                let nr_devices = self.pages[0].get::<4>(header::NR_DEVICES);
                let refcount = random.edge(nr_devices);
                let refcount = random.pick(&[0, 1, nr_devices, nr_devices + 1, refcount]);
                let (page, offset) = self.some_record(random);

                self.pages[page].set::<2>(offset + record::REFCOUNT, refcount);
            }
            16 => {
                let (page, offset) = self.some_record(random);
                let near = self.pages[page].get::<4>(offset + record::DOMAIN);

                self.pages[page].set::<4>(offset + record::DOMAIN, random.edge(near));
            }
            17 => {
                // The blocks the other way round, which is as good.
                for n in 1..=self.blocks {
                    let next = if n == 1 {
                        0
                    } else {
                        self.pages[n - 1].address()
                    };

                    self.pages[n].set::<8>(block::NEXT, next);
                }
                let first = self.pages[self.blocks].address();

                self.pages[0].set::<8>(header::DEVICES, first);
            }
            18 => {
                // A free slot more, and the header knows.
                let (page, offset) = self.some_record(random);
                let was_in_use = self.pages[page].get::<2>(offset + record::REFCOUNT) != 0;
                let nr_devices = self.pages[0].get::<4>(header::NR_DEVICES);

                self.pages[page].set::<8>(offset, 0);
                self.pages[0].set::<4>(
                    header::NR_DEVICES,
                    nr_devices.wrapping_sub(u64::from(was_in_use)),
                );
            }
            _ => self.pages[self.some_block(random)].set::<8>(block::NEXT, 0),
        }
    }

    fn change<const N: usize>(&mut self, page: usize, offset: usize, random: &mut Random) {
        let near = self.pages[page].get::<N>(offset);

        self.pages[page].set::<N>(offset, random.edge(near));
    }

    fn lead_astray(&mut self, page: usize, offset: usize, random: &mut Random) {
        let near = self.pages[page].get::<8>(offset);
        let address = self.some_address(near, random);

        self.pages[page].set::<8>(offset, address);
    }

    /// An address where something is, or nothing.
    fn some_address(&self, near: u64, random: &mut Random) -> u64 {
        let page = random.pick(&self.pages.each_ref().map(|page| page.address()));

        match random.below(8) {
            0..4 => page,
            4 => page + random.pick(&[1, 8, 16, page::SIZE as u64 / 2, page::SIZE as u64 - 1]),
            5 => near ^ 1 << random.below(64),
            6 => random.edge(near),
            // Far beyond all memory.
            _ => near | 1 << random.within(48..64),
        }
    }

    fn some_block(&self, random: &mut Random) -> usize {
        1 + random.below(self.blocks)
    }

    fn some_record(&self, random: &mut Random) -> (usize, usize) {
        let page = self.some_block(random);

        (page, offset(random.below(self.counts[page - 1])))
    }

    /// Any byte that matters.
    fn some_byte(&self, random: &mut Random) -> (usize, usize) {
        if self.blocks == 0 || random.one_in(3) {
            return (0, random.below(HEADER_SIZE));
        }

        let page = self.some_block(random);

        if random.one_in(3) {
            return (page, random.below(HEADER_SIZE));
        }
        (
            page,
            random.within(HEADER_SIZE..offset(self.counts[page - 1])),
        )
    }
}

/// Fills a page with zeros, ones, or anything.
fn fill(page: &mut Page, random: &mut Random) {
    match random.below(8) {
        0 => page.bytes_mut().fill(0xff),
        1 => {
            for offset in (0..page::SIZE).step_by(8) {
                page.set::<8>(offset, random.bits());
            }
        }
        // Records that have the same address again and again.
        2 => {
            let bits = random.bits();

            for offset in (0..page::SIZE).step_by(8) {
                page.set::<8>(offset, bits);
            }
        }
        _ => page.bytes_mut().fill(0),
    }
}
