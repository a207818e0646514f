// SPDX-License-Identifier: GPL-2.0

//! The devices that the driver is bound to.

use crate::{
    node,
    raw, //
};
use kernel::{
    bindings,
    ffi::c_int,
    fs::File,
    io::Io,
    miscdevice::MiscDeviceRegistration,
    new_mutex,
    pci,
    prelude::*,
    str::CString,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        Mutex, //
    }, //
};

kernel::sync::global_lock! {
    /// In the order of their names.
    // SAFETY: Initialised when the module is, before a device is bound.
    pub(crate) unsafe(uninit) static DEVICES: Mutex<KVec<Entry>> = KVec::new();
}

kernel::sync::global_lock! {
    /// In the order of what tells their files from others.
    // SAFETY: Initialised when the module is, before a device is bound.
    pub(crate) unsafe(uninit) static BY_FILE: Mutex<KVec<(usize, Arc<TestDevice>)>> = KVec::new();
}

/// A file of a device.
pub(crate) struct TestFile;

/// A node of a device.
type Node = node::Node<TestFile, TestDevice>;

/// A device and its node in `/dev`.
pub(crate) struct Entry {
    pub(crate) device: Arc<TestDevice>,
    pub(crate) node: Pin<KBox<Node>>,
}

/// How much of BAR 0 we use.
pub(crate) const BAR_SIZE: usize = 0x10;

/// What a device is.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// QEMU's educational device.
    Edu,
    /// QEMU's `pci-testdev`.
    Testdev,
    /// Any other, to which userspace has bound the driver with `driver_override`.
    Other,
}

impl Kind {
    pub(crate) fn of(pdev: &pci::Device) -> Self {
        match (pdev.vendor_id().as_raw(), pdev.device_id()) {
            (0x1234, 0x11e8) => Self::Edu,
            (0x1b36, 0x0005) => Self::Testdev,
            _ => Self::Other,
        }
    }
}

/// A step in the life of a preserved file, which can be made to fail.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Preserve,
    Freeze,
    Retrieve,
    CanFinish,
}

/// A device, as long as it is bound or a file of it is open.
#[pin_data]
pub(crate) struct TestDevice {
    pub(crate) pdev: ARef<pci::Device>,
    kind: Kind,
    /// BAR 0, if we know what it is.
    #[pin]
    bar: Option<pci::DevresBar<BAR_SIZE>>,
    /// The number that the user stores in the device, and finds again in the next kernel.
    pub(crate) cookie: Atomic<u64>,
    /// Preserved by a command, not with a file.
    pub(crate) is_preserved: Atomic<bool>,
    /// The step of the device's files that fails.
    #[pin]
    fails: Mutex<Option<Step>>,
    /// When the next kernel is on its way, its file tries to preserve and to unpreserve devices.
    pub(crate) tries: Atomic<bool>,
    /// What came of trying to preserve and unpreserve while the previous kernel was frozen.
    #[pin]
    pub(crate) tried: Mutex<Tried>,
}

/// What came of trying what must not be done while the next kernel is on its way: errnos, or
/// [`Tried::NOT`].
#[derive(Clone, Copy, FromBytes, IntoBytes, zerocopy_derive::Immutable)]
#[repr(C)]
pub(crate) struct Tried {
    pub(crate) preserve: i32,
    pub(crate) unpreserve: i32,
}

impl Tried {
    pub(crate) const NOT: Self = Self {
        preserve: 1,
        unpreserve: 1,
    };
}

impl TestDevice {
    pub(crate) fn new(
        pdev: ARef<pci::Device>,
        kind: Kind,
        bar: Option<pci::DevresBar<BAR_SIZE>>,
    ) -> impl PinInit<Self> {
        pin_init!(Self {
            pdev,
            kind,
            bar,
            cookie: Atomic::new(0),
            is_preserved: Atomic::new(false),
            fails <- new_mutex!(None),
            tries: Atomic::new(false),
            tried <- new_mutex!(Tried::NOT),
        })
    }

    /// Where the device is: `0000:04:00.0`.
    pub(crate) fn name(&self) -> &CStr {
        let device: &kernel::device::Device = self.pdev.as_ref();

        device.name()
    }

    /// Makes a step fail from now on, and all others not.
    pub(crate) fn set_failing(&self, step: Option<Step>) {
        *self.fails.lock() = step;
    }

    /// Fails if this step is to.
    pub(crate) fn may_fail(&self, step: Step) -> Result {
        if *self.fails.lock() == Some(step) {
            return Err(EIO);
        }
        Ok(())
    }

    /// Whether the device tells its vendor.
    fn has_config_space(&self) -> bool {
        let mut vendor = 0;

        // SAFETY: The device is valid, and `vendor` can be written to.
        unsafe {
            bindings::pci_read_config_word(
                self.pdev.as_raw(),
                bindings::PCI_VENDOR_ID as c_int,
                &mut vendor,
            );
        }
        vendor == self.pdev.vendor_id().as_raw()
    }

    /// Whether the device answers. Not if it isn't bound any more.
    pub(crate) fn is_alive(&self) -> bool {
        let Some(bar) = &self.bar else {
            return self.has_config_space();
        };
        let answer = bar.try_access_with(|bar| match self.kind {
            Kind::Edu => {
                // The liveness register answers with the complement of what was written last.
                const LIVENESS: usize = 0x4;
                const VALUE: u32 = 0x5a5a_1234;

                bar.write32(VALUE, LIVENESS);
                bar.read32(LIVENESS) == !VALUE
            }
            Kind::Testdev => {
                // Selecting test 0 resets its count, and a write where the device wants it
                // increments it.
                const TEST: usize = 0x0;
                const OFFSET: usize = 0x4;
                const DATA: usize = 0x8;
                const COUNT: usize = 0xc;

                bar.write8(0, TEST);
                let (offset, data) = (bar.read32(OFFSET) as usize, bar.read8(DATA));
                bar.try_write8(data, offset).is_ok() && bar.read32(COUNT) == 1
            }
            Kind::Other => false,
        });

        answer.unwrap_or(false)
    }
}

/// The device that a node stands for.
pub(crate) fn of_node(node: &MiscDeviceRegistration<TestFile>) -> Option<Arc<TestDevice>> {
    DEVICES
        .lock()
        .iter()
        .find(|entry| entry.node.is(node))
        .map(|entry| entry.device.clone())
}

/// Where the device of this name is in the list, or where it would be.
pub(crate) fn position(devices: &[Entry], name: &CStr) -> Result<usize, usize> {
    devices.binary_search_by(|entry| entry.device.name().to_bytes().cmp(name.to_bytes()))
}

/// The device that a file stands for, if it is one of ours.
pub(crate) fn of_file(file: &File) -> Option<Arc<TestDevice>> {
    let id = DEVICES.lock().first()?.node.id_of(file)?;

    let devices = BY_FILE.lock();

    devices
        .get(position_of_file(&devices, id).ok()?)
        .map(|(_, device)| device.clone())
}

fn position_of_file(devices: &[(usize, Arc<TestDevice>)], id: usize) -> Result<usize, usize> {
    devices.binary_search_by_key(&id, |(id, _)| *id)
}

/// What the driver keeps of a device that it is bound to.
pub(crate) struct Bound(Arc<TestDevice>);

impl Bound {
    /// Makes a node for the device.
    pub(crate) fn new(device: Arc<TestDevice>) -> Result<Self> {
        let name = CString::try_from_fmt(fmt!("pci_liveupdate_test-{}", device.name()))?;
        let node = KBox::pin_init(Node::new(name), GFP_KERNEL)?;
        let entry = Entry {
            device: device.clone(),
            node,
        };

        let id = Node::id(&device);

        let bound = Self(device.clone());

        {
            let mut devices = BY_FILE.lock();

            devices.reserve(1, GFP_KERNEL)?;
            if let Err(index) = position_of_file(&devices, id) {
                let _ = devices.insert_within_capacity(index, (id, device));
            }
        }
        // The list is not locked while nodes are made and removed, as opening one locks it.
        let mut devices = DEVICES.lock();

        devices.reserve(1, GFP_KERNEL)?;
        if let Err(index) = position(&devices, bound.0.name()) {
            let _ = devices.insert_within_capacity(index, entry);
        }
        drop(devices);
        Ok(bound)
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        let id = Node::id(&self.0);
        let mut devices = BY_FILE.lock();

        if let Ok(index) = position_of_file(&devices, id) {
            let _ = devices.remove(index);
        }
        // When the module goes away, nobody drops what is static.
        if devices.is_empty() {
            *devices = KVec::new();
        }
        drop(devices);

        let mut devices = DEVICES.lock();
        let entry = position(&devices, self.0.name())
            .ok()
            .and_then(|index| devices.remove(index).ok());

        if devices.is_empty() {
            *devices = KVec::new();
        }
        drop(devices);
        drop(entry);

        // What a command preserved has no driver any more.
        if self.0.is_preserved.xchg(false, Relaxed) {
            let _ = raw::unpreserve(&self.0.pdev);
        }
        self.0.cookie.store(0, Relaxed);
    }
}
