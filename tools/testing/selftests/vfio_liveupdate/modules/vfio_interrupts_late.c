// SPDX-License-Identifier: GPL-2.0
/*
 * Lets a device (QEMU's edu) interrupt when there is no kernel. What it has for that now, it has
 * again when all devices are shut down, and then it is told to copy something, which
 * takes 100 ms, and to interrupt:
 *
 *	insmod vfio_interrupts_late.ko device=0000:01:00.0
 */

#include <linux/io.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/syscore_ops.h>

#include "../../pci_liveupdate/lib/edu.h"
#include "../../pci_liveupdate/modules/address.h"

static char *device;
module_param(device, charp, 0444);
MODULE_PARM_DESC(device, "address of the device");

static struct pci_dev *pdev;
static void __iomem *regs;
/* As long as its capability is at most */
static u32 msi[PCI_MSI_DATA_64 / 4 + 1];

static void interrupt_late(void *data)
{
	/* The first of them switches it on, so it comes last. */
	for (int i = ARRAY_SIZE(msi) - 1; i >= 0; i--)
		pci_write_config_dword(pdev, pdev->msi_cap + 4 * i, msi[i]);
	pci_set_master(pdev);
	writel(EDU_START | EDU_INTERRUPT, regs + EDU_COMMAND);
}

static const struct syscore_ops ops = { .shutdown = interrupt_late };
static struct syscore syscore = { .ops = &ops };

static int __init interrupts_late_init(void)
{
	pdev = find_device(device);
	if (IS_ERR(pdev))
		return PTR_ERR(pdev);

	regs = ioremap(pci_resource_start(pdev, 0), PAGE_SIZE);
	if (!regs || !pdev->msi_cap) {
		pci_dev_put(pdev);
		return -EINVAL;
	}
	for (int i = 0; i < ARRAY_SIZE(msi); i++)
		pci_read_config_dword(pdev, pdev->msi_cap + 4 * i, &msi[i]);
	writel(EDU_BUFFER, regs + EDU_DESTINATION);
	writel(sizeof(u32), regs + EDU_COUNT);
	register_syscore(&syscore);

	return 0;
}
module_init(interrupts_late_init);

static void __exit interrupts_late_exit(void)
{
	unregister_syscore(&syscore);
	iounmap(regs);
	pci_dev_put(pdev);
}
module_exit(interrupts_late_exit);

MODULE_DESCRIPTION("Test of live update with vfio-pci that lets a device interrupt in the jump");
MODULE_LICENSE("GPL");
