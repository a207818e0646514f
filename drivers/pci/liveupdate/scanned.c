// SPDX-License-Identifier: GPL-2.0
/*
 * PCI Live Update: which part of the machine was enumerated.
 *
 * A device that isn't found may be gone, or behind a host bridge that has no driver yet.
 */

#include <linux/pci.h>
#include <linux/rwsem.h>

#include "../liveupdate.h"
#include "../pci.h"

/* Devices are added when all that is below a host bridge was found. */
static bool is_all_added(const struct pci_bus *root)
{
	struct pci_dev *dev;

	list_for_each_entry(dev, &root->devices, bus_list) {
		if (!pci_dev_is_added(dev))
			return false;
	}

	return !list_empty(&root->devices);
}

bool pci_liveupdate_is_scanned(int domain, u8 bus)
{
	struct pci_bus *root;

	/* Held by who removes a host bridge, too, which knows the domain. */
	guard(rwsem_read)(&pci_bus_sem);

	list_for_each_entry(root, &pci_root_buses, node) {
		if (pci_domain_nr(root) == domain && bus >= root->busn_res.start &&
		    bus <= root->busn_res.end && is_all_added(root))
			return true;
	}

	return false;
}
