// SPDX-License-Identifier: GPL-2.0
/*
 * Resets the bus, or slot, that a device is on, as what recovers from errors does:
 *
 *	insmod pci_liveupdate_reset.ko device=0000:02:00.0
 *
 * Userspace can't where a device below was preserved.
 */

#include <linux/module.h>
#include <linux/pci.h>

static char *device;
module_param(device, charp, 0444);
MODULE_PARM_DESC(device, "address of a device on the bus");

static int __init reset_init(void)
{
	struct device *dev = bus_find_device_by_name(&pci_bus_type, NULL, device);
	int ret;

	if (!dev)
		return -ENODEV;

	ret = pci_reset_bus(to_pci_dev(dev));
	put_device(dev);

	return ret;
}
module_init(reset_init);

static void __exit reset_exit(void)
{
}
module_exit(reset_exit);

MODULE_DESCRIPTION("Test of resets above preserved devices");
MODULE_LICENSE("GPL");
