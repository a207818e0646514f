// SPDX-License-Identifier: GPL-2.0
/*
 * Lets a device say that it has a header of an unknown type, while this is loaded:
 *
 *	insmod pci_liveupdate_badheader.ko device=0000:04:00.0
 *
 * The PCI core can then not set it up.
 */

#include <linux/module.h>
#include <linux/pci.h>

#define UNKNOWN_TYPE	0x7e

static char *device;
module_param(device, charp, 0444);
MODULE_PARM_DESC(device, "address of the device");

static struct pci_bus *bus;
static unsigned int bad_devfn;
static struct pci_ops *true_ops;
static struct pci_ops bad_ops;

static int bad_read(struct pci_bus *of, unsigned int devfn, int where, int size,
		    u32 *value)
{
	int ret = true_ops->read(of, devfn, where, size, value);

	if (!ret && devfn == bad_devfn && where == PCI_HEADER_TYPE && size == 1)
		*value = UNKNOWN_TYPE;

	return ret;
}

static int __init badheader_init(void)
{
	unsigned int domain, number, slot, function;

	if (!device || sscanf(device, "%x:%x:%x.%u", &domain, &number, &slot,
			      &function) != 4)
		return -EINVAL;

	bus = pci_find_bus(domain, number);
	if (!bus)
		return -ENODEV;

	bad_devfn = PCI_DEVFN(slot, function);
	true_ops = bus->ops;
	bad_ops = *true_ops;
	bad_ops.read = bad_read;
	pci_bus_set_ops(bus, &bad_ops);

	return 0;
}
module_init(badheader_init);

static void __exit badheader_exit(void)
{
	pci_bus_set_ops(bus, true_ops);
}
module_exit(badheader_exit);

MODULE_DESCRIPTION("Test of PCI Live Update with a device that cannot be set up");
MODULE_LICENSE("GPL");
