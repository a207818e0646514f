// SPDX-License-Identifier: GPL-2.0

//! The benchmark: what each operation costs, and its floor.
//!
//! `debugfs/pci_liveupdate_bench/run` takes an operation and a number of devices, and tells of all
//! that were taken so far what they cost in all: a line of its name, the number, what it took, and
//! what its floor took. That is time as the processor counts it, of which `make bench` sees to it
//! that it is instructions.
//!
//! Nothing is kept out while something is measured: who wants it without interrupts has it measured
//! more than once, and takes the least.
//!
//! What is measured doesn't write to the kernel log meanwhile, but calls it; what a line in the
//! log costs is an operation of its own.

use crate::{
    abi::{
        Devices,
        Header,
        Record, //
    },
    flb::{
        PciDevices,
        FLB, //
    },
    incoming::Records,
    outgoing::Outgoing,
    state::Device, //
};
use kernel::{
    bindings,
    debugfs::{
        Dir,
        File,
        Reader,
        Writer, //
    },
    error::to_result,
    ffi::{
        c_int,
        c_uint, //
    },
    fmt,
    kho::{
        HandedOver,
        Memory, //
    },
    liveupdate::FileLifecycleBound,
    new_mutex,
    pci::Address,
    prelude::*,
    sync::Mutex,
    uaccess::UserSliceReader, //
};

/// What is written in C; see `bench.h`.
mod c {
    use super::*;

    // The compiler doubts that C knows what the pointers are to; C only hands them back.
    #[allow(improper_ctypes)]
    unsafe extern "C" {
        pub(super) safe fn plu_bench_hand_over(n: c_uint) -> bindings::phys_addr_t;
        pub(super) fn plu_bench_floor_restore(phys: bindings::phys_addr_t) -> c_uint;

        pub(super) fn plu_bench_make_devices(n: c_uint) -> c_int;
        pub(super) fn plu_bench_devices() -> *mut bindings::pci_dev;
        pub(super) fn plu_bench_setup(n: c_uint);
        pub(super) fn plu_bench_preserve(n: c_uint) -> c_int;
        pub(super) fn plu_bench_unpreserve(n: c_uint) -> c_int;
        pub(super) fn plu_bench_finish(n: c_uint);

        pub(super) safe fn plu_bench_now() -> u64;
        pub(super) fn plu_bench_floor_insert(n: c_uint) -> c_int;
        pub(super) fn plu_bench_floor_load(n: c_uint, beside: bool) -> c_uint;
        pub(super) fn plu_bench_floor_destroy();
        pub(super) fn plu_bench_floor_setup(devices: *mut bindings::pci_dev, n: c_uint);
        pub(super) fn plu_bench_floor_fill(n: c_uint);
        pub(super) fn plu_bench_floor_clear(n: c_uint);
        pub(super) fn plu_bench_floor_finish(n: c_uint);
    }
}

/// As many devices as there can be, `PLU_BENCH_MAX`.
const MAX: u32 = 65536;

/// What `f` takes, and returns.
fn timed<R>(f: impl FnOnce() -> R) -> (u64, R) {
    let start = c::plu_bench_now();
    let nothing = c::plu_bench_now() - start;

    let start = c::plu_bench_now();
    let result = f();
    let took = c::plu_bench_now() - start;

    (took.saturating_sub(nothing), result)
}

/// The address beside that of the `n`th device, or that address itself.
#[inline]
fn address(n: u32, beside: bool) -> Address {
    Address {
        domain: 1 + (n >> 15),
        bdf: (n << 1) as u16 | u16::from(beside),
    }
}

/// Where there is a hand-over with the first `n` addresses.
fn make_hand_over(n: u32) -> Result<u64> {
    match c::plu_bench_hand_over(n) {
        0 => Err(ENOMEM),
        address => Ok(address),
    }
}

/// While there is one, the kernel log takes nothing.
struct Quiet;

impl Quiet {
    fn new() -> Self {
        // SAFETY: An integer that everybody may read and write. Nobody else writes to this one
        // unless the kernel panics.
        unsafe { (&raw mut bindings::suppress_printk).write_volatile(1) };
        Self
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // SAFETY: An integer that everybody may read and write, and that nobody else writes to now.
        unsafe { (&raw mut bindings::suppress_printk).write_volatile(0) };
    }
}

/// What an operation on a number of devices takes.
struct Figure {
    name: &'static str,
    n: u32,
    ours: u64,
    floor: u64,
}

/// What was taken so far.
///
/// # Invariants
///
/// There is only one object of the type that anything is taken with, in `Run`. So who has borrowed
/// it mutably is the only one to call what is written in C, which is for one caller at a time.
#[derive(Default)]
struct Figures(KVec<Figure>);

// `n` is at most `MAX`, for which there is room in C: `take()` sees to that.
impl Figures {
    fn add(&mut self, name: &'static str, n: u32, ours: u64, floor: u64) -> Result {
        let figure = Figure {
            name,
            n,
            ours,
            floor,
        };

        Ok(self.0.push(figure, GFP_KERNEL)?)
    }

    /// Takes over the pages of a hand-over, in C.
    fn restore(&mut self, n: u32) -> Result {
        let phys = make_hand_over(n)?;
        // SAFETY: There is a hand-over at this address, which nobody has restored.
        let (took, pages) = timed(|| unsafe { c::plu_bench_floor_restore(phys) });

        self.add("page", pages, took, 0)
    }

    /// Reads a hand-over, and looks records up in it.
    fn read(&mut self, n: u32) -> Result {
        let _quiet = Quiet::new();
        // SAFETY: These pages were just given up to KHO, and nobody else knows of them.
        let hand_over = unsafe { HandedOver::<Devices>::new(make_hand_over(n)?) };
        let (ours, records) = timed(|| Records::read(hand_over));
        let records = records?;
        // SAFETY: By the type invariant we are the only caller, and `n` is at most `MAX`.
        let (floor, inserted) = timed(|| unsafe { c::plu_bench_floor_insert(n) });
        let read = to_result(inserted)
            .and_then(|()| self.add("retrieve", n, ours, floor))
            .and_then(|()| self.find("hit", n, &records, false, n))
            .and_then(|()| self.find("miss", n, &records, true, 0));

        // SAFETY: By the type invariant we are the only caller, and `n` is at most `MAX`.
        unsafe { c::plu_bench_floor_destroy() };
        read
    }

    fn find(
        &mut self,
        name: &'static str,
        n: u32,
        records: &Records,
        beside: bool,
        expected: u32,
    ) -> Result {
        let (ours, found) = timed(|| {
            (0..n)
                .filter(|n| records.find(address(*n, beside)).is_some())
                .count()
        });
        // SAFETY: By the type invariant we are the only caller, and `n` is at most `MAX`.
        let (floor, there) = timed(|| unsafe { c::plu_bench_floor_load(n, beside) });

        if found != expected as usize || there != expected {
            return Err(EBADMSG);
        }
        self.add(name, n, ours, floor)
    }

    /// Takes an operation on the first `n` devices.
    fn on_devices(&mut self, operation: &str, n: u32) -> Result {
        if n == 0 {
            return Err(EINVAL);
        }
        // SAFETY: By the type invariant we are the only caller, and `n` is at most `MAX`.
        to_result(unsafe { c::plu_bench_make_devices(n) })?;
        // SAFETY: By the type invariant we are the only caller, and `n` is at most `MAX`.
        let devices = unsafe { c::plu_bench_devices() };
        // SAFETY: At least one device was made, as `n` is not 0, and none is ever freed.
        let device = unsafe { Device::from_raw(devices) };

        if operation == "line" {
            let line = || {
                dev_info!(
                    device.as_dev(),
                    "liveupdate: preserved for the next kernel\n"
                )
            };
            let (ours, ()) = timed(|| (0..n).for_each(|_| line()));

            return self.add("line", n, ours, 0);
        }

        let _quiet = Quiet::new();

        if operation == "freeze" {
            return self.freeze(n, devices);
        }
        // SAFETY: By the type invariant we are the only caller, and `n` is at most `MAX`. The first
        // `n` devices were made, and nobody else knows of them.
        let (name, (ours, done), (floor, ())) = unsafe {
            match operation {
                "setup" => (
                    "setup",
                    timed(|| {
                        c::plu_bench_setup(n);
                        Ok(())
                    }),
                    timed(|| c::plu_bench_floor_setup(devices, n)),
                ),
                "first" => (
                    "first",
                    timed(|| {
                        device.look_up();
                        Ok(())
                    }),
                    timed(|| c::plu_bench_floor_setup(devices, 1)),
                ),
                "preserve" => (
                    "preserve",
                    timed(|| to_result(c::plu_bench_preserve(n))),
                    timed(|| c::plu_bench_floor_fill(n)),
                ),
                "unpreserve" => (
                    "unpreserve",
                    timed(|| to_result(c::plu_bench_unpreserve(n))),
                    timed(|| c::plu_bench_floor_clear(n)),
                ),
                "finish" => (
                    "finish",
                    timed(|| {
                        c::plu_bench_finish(n);
                        Ok(())
                    }),
                    timed(|| c::plu_bench_floor_finish(n)),
                ),
                _ => return Err(EINVAL),
            }
        };

        done?;
        self.add(name, n, ours, floor)
    }

    /// How much memory is preserved.
    fn bytes(&mut self, n: u32) -> Result {
        let data = FLB.outgoing()?;
        let bytes = data.lock().memory().size();

        self.add(
            "bytes",
            n,
            bytes as u64,
            u64::from(n) * size_of::<Record>() as u64,
        )
    }

    /// Writes down what is to be handed over, as when the machine is about to jump.
    fn freeze(&mut self, n: u32, devices: *mut bindings::pci_dev) -> Result {
        let mut outgoing = Outgoing::new();
        let mut memory = KBox::pin_init(Memory::new(Header::new()), GFP_KERNEL)?;

        for n in 0..n as usize {
            // SAFETY: That many devices were made, and none is ever freed.
            outgoing.preserve(unsafe { Device::from_raw(devices.add(n)) }, None)?;
        }
        memory.as_mut().reserve(outgoing.len())?;

        let (ours, frozen) = timed(|| PciDevices::freeze(&mut outgoing, memory.as_mut()));

        frozen?;
        PciDevices::unfreeze(&mut outgoing);
        // SAFETY: By the type invariant we are the only caller, and `n` is at most `MAX`.
        let (floor, ()) = timed(|| unsafe { c::plu_bench_floor_fill(n) });

        self.add("freeze", n, ours, floor)
    }

    fn take(&mut self, operation: &str, n: u32) -> Result {
        if n > MAX {
            return Err(EINVAL);
        }
        match operation {
            "read" => self.read(n),
            "restore" => self.restore(n),
            "bytes" => self.bytes(n),
            _ => self.on_devices(operation, n),
        }
    }
}

#[pin_data]
struct Run {
    #[pin]
    figures: Mutex<Figures>,
}

impl Writer for Run {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for figure in &self.figures.lock().0 {
            let Figure {
                name,
                n,
                ours,
                floor,
            } = figure;

            f.write_fmt(fmt!("{name} {n} {ours} {floor}\n"))?;
        }
        Ok(())
    }
}

impl Reader for Run {
    fn read_from_slice(&self, reader: &mut UserSliceReader) -> Result {
        let mut text = [0; 32];
        let text = text.get_mut(..reader.len()).ok_or(EINVAL)?;

        reader.read_slice(text)?;
        let text = core::str::from_utf8(text).map_err(|_| EINVAL)?;
        let (operation, n) = text.trim().split_once(' ').ok_or(EINVAL)?;
        let n = n.parse().map_err(|_| EINVAL)?;

        self.figures.lock().take(operation, n)
    }
}

/// The file, which is there as long as this is.
#[pin_data]
pub(crate) struct Bench {
    _dir: Dir,
    #[pin]
    run: File<Run>,
}

impl Bench {
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        pin_init::pin_init_scope(|| {
            let dir = Dir::new(c"pci_liveupdate_bench");
            let run = pin_init!(Run {
                figures <- new_mutex!(Figures::default()),
            });

            Ok(try_pin_init!(Self {
                run <- dir.read_write_file(c"run", run),
                _dir: dir.clone(),
            }? Error))
        })
    }
}
