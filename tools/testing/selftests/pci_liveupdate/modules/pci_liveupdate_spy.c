// SPDX-License-Identifier: GPL-2.0
/*
 * Counts how often the bus mastering of a device is switched off, while this is loaded:
 *
 *	insmod pci_liveupdate_spy.ko device=0000:04:00.0
 *	cat /sys/module/pci_liveupdate_spy/parameters/{writes,switched_off}
 */

#include <linux/module.h>
#include <linux/pci.h>

#include "interpose.h"

static char *device;
module_param(device, charp, 0444);
MODULE_PARM_DESC(device, "address of the device");

static int writes;
module_param(writes, int, 0444);
MODULE_PARM_DESC(writes, "how often its command register was written");

static int switched_off;
module_param(switched_off, int, 0444);
MODULE_PARM_DESC(switched_off, "how often without bus mastering");

static struct interposer spy;

static int spy_write(struct pci_bus *bus, unsigned int devfn, int where, int size,
		     u32 value)
{
	/* Nobody writes it but as a word, or with the status that follows. */
	if (interposer_is_for(&spy, bus, devfn) && where == PCI_COMMAND) {
		writes++;
		switched_off += !(value & PCI_COMMAND_MASTER);
	}

	return spy.true_ops->write(bus, devfn, where, size, value);
}

static int __init spy_init(void)
{
	int err;

	writes = 0;
	switched_off = 0;
	err = interposer_init(&spy, device);
	if (err)
		return err;

	spy.ops.write = spy_write;
	interpose(&spy);

	return 0;
}
module_init(spy_init);

static void __exit spy_exit(void)
{
	uninterpose(&spy);
}
module_exit(spy_exit);

MODULE_DESCRIPTION("Test of PCI Live Update that watches bus mastering");
MODULE_LICENSE("GPL");
