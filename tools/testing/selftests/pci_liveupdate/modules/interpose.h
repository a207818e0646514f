/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For modules that stand between the PCI core and the config space of a device, which
 * need not be there yet.
 */
#ifndef _SELFTESTS_PCI_LIVEUPDATE_INTERPOSE_H
#define _SELFTESTS_PCI_LIVEUPDATE_INTERPOSE_H

#include <linux/pci.h>

#include "address.h"

/* Where the device is, and how its bus is accessed. */
struct interposer {
	struct pci_bus *bus;
	unsigned int devfn;
	struct pci_ops *true_ops;
	struct pci_ops ops;	/* replace what is to be, then call interpose() */
};

/* Find the bus of a device, "0000:04:00.0". */
static inline int interposer_init(struct interposer *i, const char *device)
{
	struct address address;

	if (parse_address(device, &address))
		return -EINVAL;

	i->bus = pci_find_bus(address.domain, address.bus);
	if (!i->bus)
		return -ENODEV;

	i->devfn = address.devfn;
	i->true_ops = i->bus->ops;
	i->ops = *i->true_ops;

	return 0;
}

static inline void interpose(struct interposer *i)
{
	pci_bus_set_ops(i->bus, &i->ops);
}

/* The operations are those of buses, too, that are found below while they are there. */
static inline bool interposer_is_for(struct interposer *i, struct pci_bus *bus,
				     unsigned int devfn)
{
	return bus == i->bus && devfn == i->devfn;
}

static inline void uninterpose_below(struct interposer *i, struct pci_bus *bus)
{
	struct pci_bus *child;

	if (bus->ops == &i->ops)
		pci_bus_set_ops(bus, i->true_ops);
	list_for_each_entry(child, &bus->children, node)
		uninterpose_below(i, child);
}

static inline void uninterpose(struct interposer *i)
{
	pci_lock_rescan_remove();
	uninterpose_below(i, i->bus);
	pci_unlock_rescan_remove();
}

#endif
