// SPDX-License-Identifier: GPL-2.0
/*
 * Lets a device have a second requester ID while this is loaded, that of another device
 * and function on its bus, as quirks do for devices that use one:
 *
 *	insmod pci_liveupdate_alias.ko device=0000:00:04.0 devfn=0xe8
 */

#include <linux/bitmap.h>
#include <linux/module.h>
#include <linux/pci.h>

#include "address.h"

/* As in drivers/pci/pci.h */
#define NR_DEVFNS	256

static char *device;
module_param(device, charp, 0444);
MODULE_PARM_DESC(device, "address of the device");

static uint devfn;
module_param(devfn, uint, 0444);
MODULE_PARM_DESC(devfn, "device and function of the other requester ID");

static struct pci_dev *pdev;

static int __init alias_init(void)
{
	if (devfn >= NR_DEVFNS)
		return -EINVAL;

	pdev = find_device(device);
	if (IS_ERR(pdev))
		return PTR_ERR(pdev);

	if (!pdev->dma_alias_mask)
		pdev->dma_alias_mask = bitmap_zalloc(NR_DEVFNS, GFP_KERNEL);
	if (!pdev->dma_alias_mask) {
		pci_dev_put(pdev);
		return -ENOMEM;
	}
	set_bit(devfn, pdev->dma_alias_mask);

	return 0;
}
module_init(alias_init);

static void __exit alias_exit(void)
{
	/* The PCI core frees it with the device. */
	clear_bit(devfn, pdev->dma_alias_mask);
	pci_dev_put(pdev);
}
module_exit(alias_exit);

MODULE_DESCRIPTION("Test of PCI Live Update with requester IDs");
MODULE_LICENSE("GPL");
