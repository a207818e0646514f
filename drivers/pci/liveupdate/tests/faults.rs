// SPDX-License-Identifier: GPL-2.0

//! KUnit tests of what cannot be asked for from userspace alone, when there is no memory for it:
//! reading a hand-over, which is done once, at boot, and making room for many records.
//!
//! As it comes up, the kernel's fault injection spares allocations that may wait, so that at boot
//! little fails. The selftest `faults_kunit` changes that, and has the suite run again.

use super::*;
use crate::outgoing::Outgoing;
use core::ptr;
use kernel::task::Task;

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

/// Slots have the first `n` addresses, and nothing else.
fn expect_filled(slots: &Slots, n: usize) -> Result {
    expect(slots.len() as usize == n && problems(slots) == 0)?;
    expect(slots.iter().map(Record::address).eq((0..n).map(address)))?;
    expect(slots.devices().next().is_none())
}

fn insert_one(n: usize, nth: c_uint, later: bool) -> Result<Attempt<bool>> {
    let (mut slots, _) = filled(n)?;
    let at = slots.parts().header.devices();
    let capacity = slots.parts().blocks.capacity();
    let Attempt { result, did_fail } = attempt(nth, later, || {
        slots.as_mut().insert(address(n), 1).map(|_| ())
    });
    let result = is_refused(result)?;

    if result {
        expect_filled(&slots, n)?;
        expect(slots.parts().header.devices() == at)?;
        expect(slots.parts().blocks.capacity() == capacity)?;
        slots.as_mut().insert(address(n), 1)?;
    }
    expect_filled(&slots, n + 1)?;
    Ok(Attempt { result, did_fail })
}

fn preserve(device: Device<'_>, n: usize, nth: c_uint, later: bool) -> Result<Attempt<bool>> {
    let (mut slots, _) = filled(n)?;
    let expect_nothing = |slots: &Slots| {
        expect(!device.path().any(|device| device.is_outgoing()))?;
        expect_filled(slots, n)
    };
    let Attempt { result, did_fail } =
        attempt(nth, later, || slots.as_mut().preserve(device, None));
    let result = is_refused(result)?;

    if result {
        expect_nothing(&slots)?;
        slots.as_mut().preserve(device, None)?;
    }
    expect(device.path().all(|device| device.is_outgoing()))?;
    expect(problems(&slots) == 0)?;
    slots.as_mut().unpreserve(device, |_| ())?;
    expect_nothing(&slots)?;
    Ok(Attempt { result, did_fail })
}

fn make_outgoing(nth: c_uint, later: bool) -> Result<Attempt<bool>> {
    let make = || KBox::pin_init(Outgoing::new(), GFP_KERNEL).map(drop);
    let Attempt { result, did_fail } = attempt(nth, later, make);
    let result = is_refused(result)?;

    make()?;
    Ok(Attempt { result, did_fail })
}

/// Takes back a page that could not be read, which has to be there as it was.
fn take_back<T>(page: *mut T) -> Result {
    // Nobody got to it, or who did has left it alone.
    if let Ok(restored) = Restored::<u64>::restore(handle(page)) {
        restored.leak();
    }

    // SAFETY: The page was allocated by `page()`. If it was freed since, its count can still be
    // looked at.
    expect(unsafe { bindings::folio_ref_count(bindings::virt_to_folio(page.cast())) } == 1)
}

fn read(n: usize, nth: c_uint, later: bool) -> Result<Attempt<bool>> {
    let hand_over = HandOver::new(n)?;
    let mut again = HandOver {
        header: hand_over.header,
        blocks: KVec::new(),
    };

    again
        .blocks
        .extend_from_slice(&hand_over.blocks, GFP_KERNEL)?;

    let Attempt { result, did_fail } = attempt(nth, later, || hand_over.read());
    let is_read =
        |incoming: &Incoming| expect(incoming.iter().map(Record::address).eq((0..n).map(address)));

    match result {
        Ok(incoming) => {
            is_read(&incoming)?;
            return Ok(Attempt {
                result: false,
                did_fail,
            });
        }
        Err(Unreadable::NoMemory) => {}
        Err(why) => return Err(why.into()),
    }

    take_back(again.header)?;
    for block in &again.blocks {
        take_back(*block)?;
    }

    // It is all there, and can be read when there is memory.
    let incoming = again.read()?;

    is_read(&incoming)?;
    Ok(Attempt {
        result: true,
        did_fail,
    })
}

#[kunit_tests(pci_liveupdate_faults)]
mod cases {
    use super::*;

    #[test]
    fn outgoing_data_is_made_or_not() -> Result {
        all("outgoing data is made", 0..1, |_, nth, later| {
            make_outgoing(nth, later)
        })
    }

    #[test]
    fn records_grow_or_stay() -> Result {
        let sizes = (0..4).map(|blocks| blocks * PER_BLOCK);

        all("records grow by a block", sizes, insert_one)
    }

    #[test]
    fn a_device_is_preserved_or_not_while_records_grow() -> Result {
        let rescan = RescanLock::lock();
        let device = rescan.devices().find(|device| {
            let device = Device::new(device);

            !device.is_bridge()
                && !device.path().any(|device| device.is_outgoing())
                && device.upstream_bridges().count() > 0
        });
        let Some(device) = device else {
            pr_info!("there is no device below a bridge\n");
            return Ok(());
        };
        let device = Device::new(&device);
        // The block is full at each of the device and the bridges, or has room for all.
        let sizes = (0..=device.path().count()).map(|room| PER_BLOCK - room);

        all("a device is preserved", sizes, |n, nth, later| {
            preserve(device, n, nth, later)
        })
    }

    #[test]
    fn a_hand_over_is_read_or_left_alone() -> Result {
        let sizes = [0, 3, 2 * PER_BLOCK + 5].into_iter();

        all("a hand-over is read", sizes, read)
    }
}
