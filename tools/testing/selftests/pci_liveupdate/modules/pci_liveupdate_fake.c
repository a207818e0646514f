// SPDX-License-Identifier: GPL-2.0
/*
 * Lets a device say something else of itself in one register of its config space, while
 * this is loaded:
 *
 *	insmod pci_liveupdate_fake.ko device=0000:04:00.0 offset=0x0e size=1 value=0x7e
 *
 * A header of an unknown type, as here, is one that the PCI core cannot set up. With
 * master=1 the device is made a bus master first, which need not be set up for that; with
 * late=1, when that register is read first, as the device need not be there yet.
 */

#include <linux/module.h>
#include <linux/pci.h>

#include "interpose.h"

static char *device;
module_param(device, charp, 0444);
MODULE_PARM_DESC(device, "address of the device");

static int offset;
module_param(offset, int, 0444);
MODULE_PARM_DESC(offset, "which register");

static int size;
module_param(size, int, 0444);
MODULE_PARM_DESC(size, "of how many bytes");

static uint value;
module_param(value, uint, 0444);
MODULE_PARM_DESC(value, "what it is said to be");

static bool master;
module_param(master, bool, 0444);
MODULE_PARM_DESC(master, "make the device a bus master");

static bool late;
module_param(late, bool, 0444);
MODULE_PARM_DESC(late, "make it one when the register is read first");

static struct interposer fake;

static int fake_read(struct pci_bus *bus, unsigned int devfn, int where, int len,
		     u32 *result)
{
	int ret = fake.true_ops->read(bus, devfn, where, len, result);

	if (ret || !interposer_is_for(&fake, bus, devfn) || where != offset || len != size)
		return ret;

	*result = value;
	if (late) {
		late = false;
		/* Who reads has locked this. */
		ret = fake.true_ops->write(bus, devfn, PCI_COMMAND, 2,
					   PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	}

	return ret;
}

static int __init fake_init(void)
{
	int err;

	err = interposer_init(&fake, device);
	if (err)
		return err;

	if (master)
		pci_bus_write_config_word(fake.bus, fake.devfn, PCI_COMMAND,
					  PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	fake.ops.read = fake_read;
	interpose(&fake);

	return 0;
}
module_init(fake_init);

static void __exit fake_exit(void)
{
	uninterpose(&fake);
}
module_exit(fake_exit);

MODULE_DESCRIPTION("Test of PCI Live Update with a device that is not what it says");
MODULE_LICENSE("GPL");
