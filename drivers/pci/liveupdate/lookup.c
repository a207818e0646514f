// SPDX-License-Identifier: GPL-2.0
/*
 * PCI Live Update: devices by their addresses.
 *
 * pci_get_domain_bus_and_slot() asks all devices, which takes too long for who looks up
 * one after the other. This goes down the buses instead.
 */

#include <linux/device.h>
#include <linux/export.h>
#include <linux/pci.h>
#include <linux/pci_liveupdate.h>
#include <linux/rwsem.h>

#include "../liveupdate.h"
#include "../pci.h"

/*
 * Among several that may have it, as ranges overlap while a bridge is scanned, or where
 * firmware is wrong, the one that does. It is not far down.
 */
static struct pci_bus *find_bus(struct pci_bus *bus, u8 number)
{
	struct pci_bus *child, *found;

	if (!bus || bus->number == number)
		return bus;

	list_for_each_entry(child, &bus->children, node) {
		if (number < child->busn_res.start || number > child->busn_res.end)
			continue;
		found = find_bus(child, number);
		if (found)
			return found;
	}

	return NULL;
}

static struct pci_bus *root_with(int domain, u8 number)
{
	struct pci_bus *root;

	list_for_each_entry(root, &pci_root_buses, node) {
		if (pci_domain_nr(root) == domain && number >= root->busn_res.start &&
		    number <= root->busn_res.end)
			return root;
	}

	return NULL;
}

bool pci_liveupdate_try_hold_devices(void)
{
	return mutex_trylock(&pci_rescan_remove_lock);
}

void pci_liveupdate_let_devices_go(void)
{
	mutex_unlock(&pci_rescan_remove_lock);
}

struct pci_dev *pci_liveupdate_get_device(int domain, u16 bdf)
{
	struct pci_bus *bus;
	struct pci_dev *dev;

	/* Held by who removes a bus or a device. */
	guard(rwsem_read)(&pci_bus_sem);

	bus = find_bus(root_with(domain, PCI_BUS_NUM(bdf)), PCI_BUS_NUM(bdf));
	if (!bus)
		return NULL;

	list_for_each_entry(dev, &bus->devices, bus_list) {
		/* Not one that is still being set up. */
		if (dev->devfn == (bdf & 0xff) && device_is_registered(&dev->dev))
			return pci_dev_get(dev);
	}

	return NULL;
}
EXPORT_SYMBOL_GPL(pci_liveupdate_get_device);

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

/* A device that isn't found may be gone, or behind a host bridge that has no driver yet. */
bool pci_liveupdate_is_scanned(int domain, u8 bus)
{
	struct pci_bus *root;

	/* Held by who removes a host bridge, too, which knows the domain. */
	guard(rwsem_read)(&pci_bus_sem);

	root = root_with(domain, bus);

	return root && is_all_added(root);
}
