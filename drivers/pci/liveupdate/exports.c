// SPDX-License-Identifier: GPL-2.0
/*
 * PCI Live Update: the functions for drivers, which are written in Rust, as
 * symbols that modules find. <linux/pci_liveupdate.h> documents them.
 */

#include <linux/export.h>
#include <linux/pci_liveupdate.h>

EXPORT_SYMBOL_GPL(pci_liveupdate_register_flb);
EXPORT_SYMBOL_GPL(pci_liveupdate_unregister_flb);
EXPORT_SYMBOL_GPL(pci_liveupdate_preserve);
EXPORT_SYMBOL_GPL(pci_liveupdate_unpreserve);
EXPORT_SYMBOL_GPL(pci_liveupdate_finish);
EXPORT_SYMBOL_GPL(pci_liveupdate_finish_absent);
EXPORT_SYMBOL_GPL(pci_liveupdate_is_incoming);
EXPORT_SYMBOL_GPL(pci_liveupdate_stop);
EXPORT_SYMBOL_GPL(pci_liveupdate_stop_locked);
EXPORT_SYMBOL_GPL(pci_liveupdate_is_stopped);
EXPORT_SYMBOL_GPL(pci_liveupdate_stop_absent);
EXPORT_SYMBOL_GPL(pci_liveupdate_is_absent);
