// SPDX-License-Identifier: GPL-2.0

//! The devices that the driver is bound to.

use crate::file::TestFile;
use kernel::{
    io::Io,
    miscdevice::{
        MiscDeviceRegistration,
        NamedRegistration, //
    },
    new_mutex,
    pci::{
        self,
        liveupdate::Preservation, //
    },
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
    // SAFETY: Initialised when the module is, before a device is bound.
    pub(crate) unsafe(uninit) static DEVICES: Mutex<KVec<Entry>> = KVec::new();
}

/// A device and its node in `/dev`.
pub(crate) struct Entry {
    pub(crate) device: Arc<TestDevice>,
    pub(crate) node: Pin<KBox<NamedRegistration<TestFile>>>,
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
}

impl Kind {
    pub(crate) fn of(pdev: &pci::Device) -> Option<Self> {
        match (pdev.vendor_id().as_raw(), pdev.device_id()) {
            (0x1234, 0x11e8) => Some(Self::Edu),
            (0x1b36, 0x0005) => Some(Self::Testdev),
            _ => None,
        }
    }
}

/// A device, as long as it is bound or a file of it is open.
#[pin_data]
pub(crate) struct TestDevice {
    pub(crate) pdev: ARef<pci::Device>,
    kind: Kind,
    #[pin]
    bar: pci::DevresBar<BAR_SIZE>,
    /// The number that the user stores in the device, and finds again in the next kernel.
    pub(crate) cookie: Atomic<u64>,
    /// Preserved by a command, not with a file.
    #[pin]
    pub(crate) preservation: Mutex<Option<Preservation>>,
}

impl TestDevice {
    pub(crate) fn new(
        pdev: ARef<pci::Device>,
        kind: Kind,
        bar: pci::DevresBar<BAR_SIZE>,
    ) -> impl PinInit<Self> {
        pin_init!(Self {
            pdev,
            kind,
            bar,
            cookie: Atomic::new(0),
            preservation <- new_mutex!(None),
        })
    }

    /// Where the device is: `0000:04:00.0`.
    pub(crate) fn name(&self) -> &CStr {
        let device: &kernel::device::Device = self.pdev.as_ref();

        device.name()
    }

    /// Whether the device answers. Not if it isn't bound any more.
    pub(crate) fn is_alive(&self) -> bool {
        let answer = self.bar.try_access_with(|bar| match self.kind {
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
        });

        answer.unwrap_or(false)
    }
}

/// The device that a node stands for.
pub(crate) fn of_node(node: &MiscDeviceRegistration<TestFile>) -> Option<Arc<TestDevice>> {
    DEVICES
        .lock()
        .iter()
        .find(|entry| core::ptr::eq::<MiscDeviceRegistration<TestFile>>(&**entry.node, node))
        .map(|entry| entry.device.clone())
}

/// What the driver keeps of a device that it is bound to.
pub(crate) struct Bound(Arc<TestDevice>);

impl Bound {
    /// Makes a node for the device.
    pub(crate) fn new(device: Arc<TestDevice>) -> Result<Self> {
        let name = CString::try_from_fmt(fmt!("pci_liveupdate_test-{}", device.name()))?;
        let node = KBox::pin_init(NamedRegistration::register(name), GFP_KERNEL)?;
        let entry = Entry {
            device: device.clone(),
            node,
        };

        // The list is not locked while nodes are made and removed, as opening one locks it.
        let mut devices = DEVICES.lock();

        devices.reserve(1, GFP_KERNEL)?;
        devices.push(entry, GFP_KERNEL)?;
        drop(devices);
        Ok(Self(device))
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        let mut devices = DEVICES.lock();
        let position = devices
            .iter()
            .position(|entry| Arc::ptr_eq(&entry.device, &self.0));
        let entry = position.and_then(|position| devices.remove(position).ok());

        drop(devices);
        drop(entry);

        // What a command preserved has no driver any more.
        let preservation = self.0.preservation.lock().take();
        drop(preservation);
        self.0.cookie.store(0, Relaxed);
    }
}
