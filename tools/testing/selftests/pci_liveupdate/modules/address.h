/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For modules that are told the address of a device, "0000:04:00.0".
 */
#ifndef _SELFTESTS_PCI_LIVEUPDATE_ADDRESS_H
#define _SELFTESTS_PCI_LIVEUPDATE_ADDRESS_H

#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/pci.h>

struct address {
	unsigned int domain;
	unsigned int bus;
	unsigned int devfn;
};

static inline int parse_address(const char *text, struct address *address)
{
	unsigned int slot, function;

	if (!text || sscanf(text, "%x:%x:%x.%u", &address->domain, &address->bus,
			    &slot, &function) != 4)
		return -EINVAL;

	address->devfn = PCI_DEVFN(slot, function);

	return 0;
}

/* Return the device, to be given back with pci_dev_put(), or an ERR_PTR. */
static inline struct pci_dev *find_device(const char *text)
{
	struct address address;
	struct pci_dev *pdev;

	if (parse_address(text, &address))
		return ERR_PTR(-EINVAL);

	pdev = pci_get_domain_bus_and_slot(address.domain, address.bus, address.devfn);

	return pdev ?: ERR_PTR(-ENODEV);
}

#endif
