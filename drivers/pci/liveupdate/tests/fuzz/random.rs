// SPDX-License-Identifier: GPL-2.0

//! Numbers that look random, and are the same again for the same seed.

use core::ops::Range;
use kernel::{
    bindings,
    prelude::*, //
};

/// A seed that nobody chose.
pub(super) fn any_seed() -> u64 {
    let mut seed = 0u64;

    // SAFETY: `seed` is valid for writes of its size, and any bytes are a valid `u64`.
    unsafe { bindings::get_random_bytes((&raw mut seed).cast::<c_void>(), size_of::<u64>()) };
    // Short enough to be typed, and room to count up from.
    seed >> 24
}

/// The generator known as SplitMix64, which makes unrelated numbers of seeds next to each other.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);

        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which must not be 0, and fits into 32 bits.
    pub(super) fn below(&mut self, end: usize) -> usize {
        ((self.bits() >> 32) as usize * end) >> 32
    }

    pub(super) fn within(&mut self, range: Range<usize>) -> usize {
        range.start + self.below(range.end - range.start)
    }

    pub(super) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(super) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// A number where things go wrong: at the ends of its range, next to another number, or any.
    pub(super) fn edge(&mut self, near: u64) -> u64 {
        let bits = self.bits();

        self.pick(&[
            0,
            1,
            u64::MAX,
            u64::MAX - 1,
            u64::from(u16::MAX),
            u64::from(u32::MAX),
            1 << 31,
            1 << 63,
            near.wrapping_sub(1),
            near.wrapping_add(1),
            near.wrapping_mul(2),
            bits,
        ])
    }
}
