// SPDX-License-Identifier: GPL-2.0
/*
 * Lets a device do DMA again when all devices are shut down and the next kernel is about to
 * start, as one would that heeds nobody, and notes which frame a USB controller (UHCI) is at
 * then, in memory, which is to be preserved:
 *
 *	insmod vfio_stays_master.ko device=0000:00:07.0 address=0x12345000
 */

#include <linux/io.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/syscore_ops.h>

#include "../../pci_liveupdate/modules/address.h"

/* Where a UHCI's registers are, and which of them counts frames. */
#define UHCI_BAR	4
#define UHCI_FRAME	6

static char *device;
module_param(device, charp, 0444);
MODULE_PARM_DESC(device, "address of the device");

static ulong address;
module_param(address, ulong, 0444);
MODULE_PARM_DESC(address, "physical address of the memory");

static struct pci_dev *pdev;

static void let_go_on(void *data)
{
	u16 *frame = phys_to_virt(address);

	pci_set_master(pdev);
	*frame = inw(pci_resource_start(pdev, UHCI_BAR) + UHCI_FRAME);
}

static const struct syscore_ops ops = { .shutdown = let_go_on };
static struct syscore syscore = { .ops = &ops };

static int __init stays_master_init(void)
{
	pdev = find_device(device);
	if (IS_ERR(pdev))
		return PTR_ERR(pdev);

	register_syscore(&syscore);

	return 0;
}
module_init(stays_master_init);

static void __exit stays_master_exit(void)
{
	unregister_syscore(&syscore);
	pci_dev_put(pdev);
}
module_exit(stays_master_exit);

MODULE_DESCRIPTION("Test of live update with vfio-pci that lets a device do DMA to the last");
MODULE_LICENSE("GPL");
