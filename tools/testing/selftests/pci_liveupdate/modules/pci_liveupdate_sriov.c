// SPDX-License-Identifier: GPL-2.0
/*
 * Gives a device virtual functions while this is loaded, whatever its driver:
 *
 *	insmod pci_liveupdate_sriov.ko device=0000:01:00.0 number=2
 */

#include <linux/module.h>
#include <linux/pci.h>

#include "address.h"

static char *device;
module_param(device, charp, 0444);
MODULE_PARM_DESC(device, "address of the device");

static int number;
module_param(number, int, 0444);
MODULE_PARM_DESC(number, "how many virtual functions");

static struct pci_dev *pdev;

static int __init sriov_init(void)
{
	int err;

	pdev = find_device(device);
	if (IS_ERR(pdev))
		return PTR_ERR(pdev);

	/* As the PCI core does it when the number is written in sysfs */
	pci_lock_rescan_remove();
	err = pci_enable_sriov(pdev, number);
	pci_unlock_rescan_remove();
	if (err)
		pci_dev_put(pdev);

	return err;
}
module_init(sriov_init);

static void __exit sriov_exit(void)
{
	pci_lock_rescan_remove();
	pci_disable_sriov(pdev);
	pci_unlock_rescan_remove();
	pci_dev_put(pdev);
}
module_exit(sriov_exit);

MODULE_DESCRIPTION("Test of PCI Live Update with virtual functions");
MODULE_LICENSE("GPL");
