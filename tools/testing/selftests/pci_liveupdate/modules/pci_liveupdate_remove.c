// SPDX-License-Identifier: GPL-2.0
/*
 * Removes a device that stays where it is, as who unbinds a host bridge does, and says what
 * is in its command register then:
 *
 *	insmod pci_liveupdate_remove.ko device=0000:04:00.0
 *	cat /sys/module/pci_liveupdate_remove/parameters/command
 */

#include <linux/module.h>
#include <linux/pci.h>

#include "address.h"

static char *device;
module_param(device, charp, 0444);
MODULE_PARM_DESC(device, "address of the device");

static ushort command;
module_param(command, ushort, 0444);
MODULE_PARM_DESC(command, "what is in its command register");

static int __init remove_init(void)
{
	struct pci_dev *pdev = find_device(device);

	if (IS_ERR(pdev))
		return PTR_ERR(pdev);

	pci_lock_rescan_remove();
	pci_stop_and_remove_bus_device(pdev);
	pci_bus_read_config_word(pdev->bus, pdev->devfn, PCI_COMMAND, &command);
	pci_unlock_rescan_remove();
	pci_dev_put(pdev);

	return 0;
}
module_init(remove_init);

static void __exit remove_exit(void)
{
}
module_exit(remove_exit);

MODULE_DESCRIPTION("Test of PCI Live Update that removes a device which stays where it is");
MODULE_LICENSE("GPL");
