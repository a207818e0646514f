// SPDX-License-Identifier: GPL-2.0

//! A KUnit suite that reads hand-overs that are random, or almost right.
//!
//! Each is read as that of a previous kernel, and an oracle says what has to come of it. The pages
//! are the test's own, so it knows what became of each.
//!
//! `pci_liveupdate.fuzz_rounds=` on the command line is how many there are. Round n has the seed
//! `pci_liveupdate.fuzz_seed=` + n, and depends on nothing else but where the pages are. So
//! what was found in a round is found again in one round with its seed.

mod hand_over;
mod oracle;
mod random;

use self::{
    hand_over::{
        HandOver,
        PAGES, //
    },
    oracle::Oracle,
    random::Random, //
};
use super::page::hand_over_at;
use crate::{
    abi::{
        Devices,
        Record, //
    },
    incoming::Records,
    module_parameters,
    state::{
        address,
        key, //
    },
    validate::{
        Summary,
        Unreadable, //
    }, //
};
use kernel::{
    bindings,
    kho::{
        self,
        TakenOver, //
    },
    prelude::*,
    time::{
        Instant,
        Monotonic, //
    }, //
};

/// What a parser did wrong.
#[derive(Debug)]
enum Mistake {
    /// It read what can't be read.
    Read,
    /// It didn't read what can be read, or for another reason.
    Refused(#[expect(dead_code)] Unreadable),
    /// It read other records than there are.
    Records,
    /// It finds a record that isn't there, or not one that is.
    Lookup,
    /// It counted wrong.
    Summary,
    /// It took over other pages than it had to.
    Pages,
    /// It gave back a page that it had to keep, or kept one.
    References,
}

/// What came of all rounds.
#[derive(Default)]
struct Tally {
    read: u64,
    header: u64,
    version: u64,
    no_block: u64,
    block_count: u64,
    count: u64,
    twice: u64,
}

impl Tally {
    fn add(&mut self, why: Option<Unreadable>) {
        *match why {
            None => &mut self.read,
            Some(Unreadable::Version(_)) => &mut self.version,
            Some(Unreadable::Memory(kho::Unreadable::NoBlock(_))) => &mut self.no_block,
            Some(Unreadable::Memory(kho::Unreadable::Count(_))) => &mut self.block_count,
            Some(Unreadable::Count { .. }) => &mut self.count,
            Some(Unreadable::Twice(_)) => &mut self.twice,
            Some(_) => &mut self.header,
        } += 1;
    }

    fn all(&self) -> [u64; 7] {
        [
            self.read,
            self.header,
            self.version,
            self.no_block,
            self.block_count,
            self.count,
            self.twice,
        ]
    }
}

/// What is used again in each round.
struct Fuzzer {
    hand_over: HandOver,
    oracle: Oracle,
    tally: Tally,
}

impl Fuzzer {
    fn new() -> Result<Self> {
        Ok(Self {
            hand_over: HandOver::new()?,
            oracle: Oracle::new()?,
            tally: Tally::default(),
        })
    }

    /// Makes a hand-over of a seed, and has it read.
    fn round(&mut self, seed: u64) -> Result<Option<Mistake>> {
        let mut random = Random::new(seed);

        self.hand_over.make(&mut random);
        self.oracle.ask(&self.hand_over)?;
        for (page, is_preserved) in self.hand_over.pages.iter().zip(self.hand_over.is_preserved) {
            if is_preserved {
                page.preserve();
            }
        }

        let hand_over = hand_over_at(self.hand_over.address);
        let read = hand_over
            .take_over()
            .map_err(Unreadable::from)
            .and_then(|mut taken_over| Ok((Records::parse(&mut taken_over)?, taken_over)));

        match read {
            Ok((records, taken_over)) => {
                self.tally.add(None);
                self.check_read(&records, taken_over, &mut random)
            }
            Err(Unreadable::Memory(kho::Unreadable::NoMemory)) => Err(ENOMEM),
            Err(why) => {
                self.tally.add(Some(why));
                Ok(self.check_refused(why))
            }
        }
    }

    /// Which pages were taken over.
    fn taken(&self) -> [bool; PAGES] {
        core::array::from_fn(|n| {
            self.hand_over.is_preserved[n] && !self.hand_over.pages[n].is_preserved()
        })
    }

    /// Takes back the pages that nobody has taken over.
    fn take_back(&self) {
        for page in &self.hand_over.pages {
            page.take_back();
        }
    }

    fn check_read(
        &mut self,
        read: &Records,
        taken_over: TakenOver<Devices>,
        random: &mut Random,
    ) -> Result<Option<Mistake>> {
        let taken = self.taken();
        let is_right = self.oracle.agrees_with_pages(&taken, None);
        let mistake = if !self.oracle.is_readable() {
            Some(Mistake::Read)
        } else if !is_right {
            Some(Mistake::Pages)
        } else {
            self.check_records(read, random)
        };

        self.take_back();
        // Most pages are used again, so that it is known exactly whether they were given back. Some
        // are given back for good, so that KASAN sees who uses them.
        let keeps = !random.one_in(16);
        let mut given = Ok(());

        for (page, is_taken) in self.hand_over.pages.iter_mut().zip(taken) {
            if !is_taken {
                continue;
            }
            if !keeps && given.is_ok() {
                given = page.give_away();
            }
            if keeps || given.is_err() {
                page.keep();
            }
        }
        taken_over.free();
        given?;

        // Of the pages that are left, each is only the test's again.
        let is_right = self
            .hand_over
            .pages
            .iter()
            .all(|page| page.references() == 1);

        Ok(mistake.or((!is_right).then_some(Mistake::References)))
    }

    fn check_records(&self, read: &Records, random: &mut Random) -> Option<Mistake> {
        let at = |key: u64| address(key as usize);
        let records = self.oracle.records();
        let summary = Summary {
            devices: records.len() as u32,
            free: self.oracle.free() as u32,
        };

        if read.summary() != summary {
            return Some(Mistake::Summary);
        }

        let flat = |record: Record| (key(record.address()) as u64, u64::from(record.refcount));

        if !read.iter().map(flat).eq(records.iter().copied()) {
            return Some(Mistake::Records);
        }
        if !records
            .iter()
            .all(|(key, refcount)| read.find(at(*key)).map(u64::from) == Some(*refcount))
        {
            return Some(Mistake::Lookup);
        }

        // An address next to another, one that is somewhere, and a device that is finished.
        let other = match records.first() {
            Some((key, _)) => key ^ 1 << random.below(48),
            None => random.bits() >> 16,
        };
        let is_there = records.iter().any(|(key, _)| *key == other);

        if read.find(at(other)).is_some() != is_there {
            return Some(Mistake::Lookup);
        }
        if !records.is_empty() {
            let (key, _) = records[random.below(records.len())];

            if !read.lock().finish_record(at(key))
                || read.find(at(key)).is_some()
                || read.iter().count() != records.len()
            {
                return Some(Mistake::Lookup);
            }
        }
        None
    }

    fn check_refused(&self, why: Unreadable) -> Option<Mistake> {
        let taken = self.taken();
        let pages = self.hand_over.pages.iter();
        // What is refused is kept.
        let is_kept = pages.clone().all(|page| page.references() == 1);

        self.take_back();
        if self.oracle.is_readable() || !self.oracle.agrees(&self.hand_over, why) {
            return Some(Mistake::Refused(why));
        }
        if !self.oracle.agrees_with_pages(&taken, Some(why)) {
            return Some(Mistake::Pages);
        }
        (!is_kept).then_some(Mistake::References)
    }

    /// Says what is in the hand-over.
    fn show(&self) {
        let HandOver { pages, .. } = &self.hand_over;

        pr_err!("fuzz: header at {:#x}\n", self.hand_over.address);
        for (page, is_preserved) in pages.iter().zip(self.hand_over.is_preserved) {
            pr_err!(
                "fuzz: {:#x}, preserved: {is_preserved}: {:x?}\n",
                page.address(),
                &page.bytes()[..64]
            );
        }
    }
}

/// Reads as many hand-overs as were asked for.
fn fuzz() -> Result<Tally> {
    let rounds = module_parameters::fuzz_rounds.value();
    let seed = match module_parameters::fuzz_seed.value() {
        0 => random::any_seed(),
        seed => seed,
    };
    let mut fuzzer = Fuzzer::new()?;
    let start = Instant::<Monotonic>::now();
    let rate = |done: u64| done * 1000 / (1 + start.elapsed().as_millis() as u64);

    pr_info!("fuzz: seed {seed}, {rounds} hand-overs\n");
    for round in 0..rounds {
        let seed = seed.wrapping_add(round);

        if let Some(mistake) = fuzzer.round(seed)? {
            pr_err!("fuzz: round {round} went wrong: {mistake:?}\n");
            pr_err!(
                "fuzz: again with pci_liveupdate.fuzz_seed={seed} pci_liveupdate.fuzz_rounds=1\n"
            );
            fuzzer.show();
            return Err(EBADMSG);
        }

        let done = round + 1;

        if rounds >= 100_000 && done % (rounds / 100) == 0 {
            pr_info!("fuzz: {} %, {} a second\n", done * 100 / rounds, rate(done));
        }
        if done % 64 == 0 {
            // SAFETY: The test may sleep.
            unsafe { bindings::schedule() };
        }
    }

    let tally = fuzzer.tally;

    pr_info!(
        "fuzz: refused: {} for the header's place, {} its version, {} a block's place, {} its \
         count, {} the number of devices, {} a record twice\n",
        tally.header,
        tally.version,
        tally.no_block,
        tally.block_count,
        tally.count,
        tally.twice
    );
    kernel::kunit::info(fmt!(
        "    # pci_liveupdate_fuzz: seed {seed}, {rounds} hand-overs, {} read, {} refused, {} a second\n",
        tally.read,
        rounds - tally.read,
        rate(rounds)
    ));
    Ok(tally)
}

#[kunit_tests(pci_liveupdate_fuzz)]
mod cases {
    use super::*;

    #[test]
    fn hand_overs_are_read_or_refused_as_they_should_be() -> Result {
        let tally = fuzz()?;

        // Each kind of mistake was made.
        if module_parameters::fuzz_rounds.value() >= 10_000 {
            assert!(tally.all().iter().all(|count| *count > 0));
        }
        Ok(())
    }
}
