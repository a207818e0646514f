// SPDX-License-Identifier: GPL-2.0

//! KUnit tests of what cannot be asked for from userspace alone, when there is no memory for it:
//! reading a hand-over, which is done once, at boot, and making room for many records.
//!
//! As it comes up, the kernel's fault injection spares allocations that may wait, so that at boot
//! little fails. The selftest `faults_kunit` changes that, and has the suite run again.

use super::{
    page::{
        Page,
        PER_BLOCK, //
    },
    records::{
        address,
        new_memory,
        with_device,
        written,
        HandOver, //
    }, //
};
use crate::{
    abi::Record,
    outgoing::Outgoing,
    state::Device,
    validate::Unreadable, //
};
use core::ptr;
use kernel::{
    kho,
    prelude::*,
    task::Task, //
};

/// Far more allocations than anything here makes.
const MANY: c_uint = 1000;

/// What came of something while an allocation failed, or would have if there had been one more.
struct Attempt<T> {
    result: T,
    did_fail: bool,
}

/// Lets one allocation of this thread fail, and all `later` ones if fault injection is set so.
fn fail(nth: c_uint, later: bool) {
    let task = Task::current_raw();

    // SAFETY: The fields of the current task are changed by nobody else, unless someone writes to
    // its files in `/proc`. Then they are still integers.
    unsafe {
        ptr::addr_of_mut!((*task).make_it_fail).write_volatile(later.into());
        ptr::addr_of_mut!((*task).fail_nth).write_volatile(nth);
    }
}

/// Does something while the `nth` allocation fails.
fn attempt<T>(nth: c_uint, later: bool, call: impl FnOnce() -> T) -> Attempt<T> {
    fail(nth, later);

    let result = call();
    // SAFETY: As in `fail()`.
    let left = unsafe { ptr::addr_of!((*Task::current_raw()).fail_nth).read_volatile() };

    fail(0, false);
    Attempt {
        result,
        did_fail: left == 0,
    }
}

/// How often something was done.
#[derive(Default)]
struct Tally {
    failed: u32,
    refused: u32,
}

/// Does something with each allocation failing in turn, until it needs no more of them. Each time
/// `once` says whether it was refused, and has seen to it that nothing is left then.
fn each(
    tally: &mut Tally,
    later: bool,
    mut once: impl FnMut(c_uint, bool) -> Result<Attempt<bool>>,
) -> Result {
    for nth in 1..MANY {
        let Attempt { result, did_fail } = once(nth, later)
            .inspect_err(|error| pr_err!("allocation {nth}, later ones: {later}: {error:?}\n"))?;

        if !did_fail {
            // Nothing was in the way.
            return if result { Err(EINVAL) } else { Ok(()) };
        }
        tally.failed += 1;
        tally.refused += u32::from(result);
    }
    Err(E2BIG)
}

/// Does the same for each of some sizes, and says what came of it.
fn all(
    what: &str,
    sizes: impl Iterator<Item = usize> + Clone,
    mut once: impl FnMut(usize, c_uint, bool) -> Result<Attempt<bool>>,
) -> Result {
    for later in [false, true] {
        let mut tally = Tally::default();

        for size in sizes.clone() {
            each(&mut tally, later, |nth, later| once(size, nth, later))
                .inspect_err(|error| pr_err!("{what}, {size} records: {error:?}\n"))?;
        }
        kernel::kunit::info(fmt!(
            "    # pci_liveupdate_faults: {what}: {} allocations failed, each {}, \
             {} times refused\n",
            tally.failed,
            if later { "with later ones" } else { "alone" },
            tally.refused
        ));
    }
    Ok(())
}

/// Whether something was refused for lack of memory, and not for another reason.
fn is_refused(result: Result) -> Result<bool> {
    match result {
        Ok(()) => Ok(false),
        Err(error) if error == ENOMEM => Ok(true),
        Err(error) => Err(error),
    }
}

fn expect(is_right: bool) -> Result {
    if is_right {
        Ok(())
    } else {
        Err(EBADMSG)
    }
}

fn make_memory(nth: c_uint, later: bool) -> Result<Attempt<bool>> {
    let Attempt { result, did_fail } = attempt(nth, later, || new_memory().map(drop));
    let result = is_refused(result)?;

    new_memory()?;
    Ok(Attempt { result, did_fail })
}

/// Makes room for another block, when `n` records are there.
fn make_room(n: usize, nth: c_uint, later: bool) -> Result<Attempt<bool>> {
    let records = |n| (0..n).map(|n| Record::new(address(n), 1));
    let mut memory = new_memory()?;

    memory.as_mut().reserve(n)?;
    memory.as_mut().write(records(n))?;

    let capacity = memory.capacity();
    let Attempt { result, did_fail } = attempt(nth, later, || memory.as_mut().reserve(n + 1));
    let result = is_refused(result)?;

    if result {
        expect(memory.capacity() == capacity)?;
        expect(written(&memory)?.iter().copied().eq(records(n)))?;
        memory.as_mut().reserve(n + 1)?;
    }
    memory.as_mut().write(records(n + 1))?;
    expect(written(&memory)?.iter().copied().eq(records(n + 1)))?;
    Ok(Attempt { result, did_fail })
}

fn preserve(device: Device<'_>, nth: c_uint, later: bool) -> Result<Attempt<bool>> {
    let mut outgoing = Outgoing::new();
    let expect_nothing = |outgoing: &Outgoing| {
        expect(!device.path().any(|device| device.is_outgoing()))?;
        expect(outgoing.len() == 0 && outgoing.iter().count() == 0)
    };
    let Attempt { result, did_fail } =
        attempt(nth, later, || outgoing.preserve(device, None).map(drop));
    let result = is_refused(result)?;

    if result {
        expect_nothing(&outgoing)?;
        outgoing.preserve(device, None)?;
    }
    expect(device.path().all(|device| device.is_outgoing()))?;
    expect(outgoing.len() == device.path().count())?;
    outgoing.unpreserve(device)?;
    expect_nothing(&outgoing)?;
    Ok(Attempt { result, did_fail })
}

/// Takes back a page that could not be read, which has to be there as it was: nobody got to it, or
/// who did has left it alone.
fn take_back(page: &Page) -> Result {
    page.take_back();
    expect(page.references() == 1)
}

fn read(n: usize, nth: c_uint, later: bool) -> Result<Attempt<bool>> {
    let hand_over = HandOver::new(n)?;
    let Attempt { result, did_fail } = attempt(nth, later, || hand_over.read());
    let (records, result) = match result {
        Ok(records) => (records, false),
        Err(Unreadable::Memory(kho::Unreadable::NoMemory)) => {
            take_back(&hand_over.header)?;
            hand_over.blocks.iter().try_for_each(take_back)?;
            // It is all there, and can be read when there is memory.
            (hand_over.read()?, true)
        }
        Err(why) => return Err(why.into()),
    };

    hand_over.forget();
    expect(
        records
            .iter()
            .map(|record| record.address())
            .eq((0..n).map(address)),
    )?;
    Ok(Attempt { result, did_fail })
}

#[kunit_tests(pci_liveupdate_faults)]
mod cases {
    use super::*;

    #[test]
    fn memory_is_made_or_not() -> Result {
        all("memory is made", 0..1, |_, nth, later| {
            make_memory(nth, later)
        })
    }

    #[test]
    fn room_grows_or_stays() -> Result {
        let sizes = (0..4).map(|blocks| blocks * PER_BLOCK);

        all("room grows by a block", sizes, make_room)
    }

    #[test]
    fn a_device_is_preserved_or_not() -> Result {
        with_device(|device, _| {
            all("a device is preserved", 0..1, |_, nth, later| {
                preserve(device, nth, later)
            })
        })
    }

    #[test]
    fn a_hand_over_is_read_or_left_alone() -> Result {
        let sizes = [0, 3, 2 * PER_BLOCK + 5].into_iter();

        all("a hand-over is read", sizes, read)
    }
}
