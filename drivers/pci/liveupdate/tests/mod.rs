// SPDX-License-Identifier: GPL-2.0

//! What only tests need.

pub(crate) mod consistency;
#[cfg(all(CONFIG_PCI_LIVEUPDATE_KUNIT_TEST, CONFIG_FAULT_INJECTION))]
mod faults;
#[cfg(CONFIG_PCI_LIVEUPDATE_KUNIT_TEST)]
mod fuzz;
#[cfg(CONFIG_PCI_LIVEUPDATE_KUNIT_TEST)]
mod page;
#[cfg(CONFIG_PCI_LIVEUPDATE_KUNIT_TEST)]
mod records;
mod rescan;
