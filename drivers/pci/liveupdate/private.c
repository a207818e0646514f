// SPDX-License-Identifier: GPL-2.0
/*
 * PCI Live Update: what the PCI core keeps to itself, for the part that is written in
 * Rust, which drivers/pci/liveupdate.h declares it for.
 */

#include <linux/compiler.h>
#include <linux/pci.h>

#include "../liveupdate.h"
#include "../pci.h"

/* Are devices looked up when they are set up? Not once it is known that none is incoming. */
bool pci_liveupdate_looks_up __read_mostly = true;

bool pci_liveupdate_is_removed(struct pci_dev *dev)
{
	return test_bit(PCI_DEV_REMOVED, &dev->priv_flags);
}

const char *pci_liveupdate_reset_method(struct pci_dev *dev)
{
	return pci_reset_fn_methods[READ_ONCE(dev->reset_methods[0])].name;
}

bool pci_liveupdate_needs_acs_quirk(struct pci_dev *dev)
{
	return pci_dev_specific_acs(dev);
}
