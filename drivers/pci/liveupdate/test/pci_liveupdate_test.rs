// SPDX-License-Identifier: GPL-2.0

//! A driver whose device files survive a live update.
//!
//! It drives two devices of QEMU, `edu` and `pci-testdev`, and any other to which it is bound with
//! `driver_override`, and has a character device for each. A file of one can be preserved in a
//! session of the Live Update Orchestrator; in the next kernel, this driver makes a new file of it,
//! for the same device, with the number that the user had stored in the old one. The tests in
//! `tools/testing/selftests/pci_liveupdate/` use it, and it shows how a driver does it:
//!
//! - [`device`]: the devices that the driver is bound to.
//! - [`file`](mod@file): what userspace reads from a device's file and writes to it.
//! - [`handler`]: what the Live Update Orchestrator calls.
//! - [`node`]: their nodes in `/dev`, and files of them.
//! - [`raw`]: calls of the PCI core as no driver should make them, for tests.

use kernel::{
    device::Core,
    driver,
    liveupdate,
    pci,
    prelude::*,
    sync::Arc, //
};

mod device;
mod file;
mod handler;
mod node;
mod raw;

use device::{
    Bound,
    TestDevice, //
};

/// What `edu` says of itself: unclassified. Its vendor has no name in the kernel.
const CLASS: u32 = 0x00ff00;
const CLASS_MASK: u32 = 0xffff00;

struct TestDriver;

kernel::pci_device_table!(
    PCI_TABLE,
    <TestDriver as pci::Driver>::IdInfo,
    [
        (pci::DeviceId::from_id(pci::Vendor::REDHAT, 0x0005), ()),
        (pci::DeviceId::from_class(CLASS, CLASS_MASK), ())
    ]
);

impl pci::Driver for TestDriver {
    type IdInfo = ();
    type Data<'bound> = Bound;
    const ID_TABLE: pci::IdTable<Self::IdInfo> = &PCI_TABLE;
    const LIVEUPDATE: bool = true;

    fn probe<'bound>(
        pdev: &'bound pci::Device<Core<'_>>,
        _info: Option<&'bound Self::IdInfo>,
    ) -> impl PinInit<Bound, Error> + 'bound {
        bind(pdev)
    }
}

fn bind(pdev: &pci::Device<Core<'_>>) -> Result<Bound> {
    let kind = device::Kind::of(pdev);

    // Others that are unclassified match the table, but nobody asked for it.
    if matches!(kind, device::Kind::Other) && pdev.pci_class().as_raw() & CLASS_MASK == CLASS {
        return Err(ENODEV);
    }

    pdev.enable_device_mem()?;
    let bar = match kind {
        device::Kind::Other => None,
        _ => Some(
            pdev.iomap_region_sized::<{ device::BAR_SIZE }>(0, c"pci_liveupdate_test")?
                .into_devres()?,
        ),
    };
    let device = TestDevice::new(pdev.into(), kind, bar);

    Bound::new(Arc::pin_init(device, GFP_KERNEL)?)
}

#[pin_data]
struct TestModule {
    // `None` when live update is off. Ends first, so that no file is preserved any more.
    _handler: Option<liveupdate::Registration<handler::Files>>,
    #[pin]
    _driver: driver::Registration<pci::Adapter<TestDriver>>,
}

impl kernel::InPlaceModule for TestModule {
    fn init(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        // SAFETY: Called once, before anything uses the lists.
        unsafe {
            device::DEVICES.init();
            device::BY_FILE.init();
        }

        try_pin_init!(Self {
            _driver <- driver::Registration::new(c"pci_liveupdate_test", module),
            // After the driver, so that the devices are there when files are retrieved.
            _handler: handler::register()?,
        })
    }
}

module! {
    type: TestModule,
    name: "pci_liveupdate_test",
    authors: ["PCI Live Update"],
    description: "Test driver for PCI Live Update",
    license: "GPL",
}
