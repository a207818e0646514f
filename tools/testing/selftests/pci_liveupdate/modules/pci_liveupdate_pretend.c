// SPDX-License-Identifier: GPL-2.0
/*
 * Lets the kernel take a device for another while this is loaded, though its driver
 * knows better: for one whose DMA another device does, as behind Intel's VMD, or for one
 * of another kind:
 *
 *	insmod pci_liveupdate_pretend.ko device=0000:04:00.0 dma_by=0000:00:04.0
 *	insmod pci_liveupdate_pretend.ko device=0000:04:00.0 vendor=0x8086 id=0xa110 type=4
 *	insmod pci_liveupdate_pretend.ko device=0000:04:00.0 vendor=0x8086 class=0x030000
 */

#include <linux/bitfield.h>
#include <linux/module.h>
#include <linux/pci.h>

#include "address.h"

static char *device;
module_param(device, charp, 0444);
MODULE_PARM_DESC(device, "address of the device");

static char *dma_by;
module_param(dma_by, charp, 0444);
MODULE_PARM_DESC(dma_by, "address of the device that does the DMA of all of the domain");

static ushort vendor;
module_param(vendor, ushort, 0444);
MODULE_PARM_DESC(vendor, "vendor ID");

static ushort id;
module_param(id, ushort, 0444);
MODULE_PARM_DESC(id, "device ID");

static ushort type;
module_param(type, ushort, 0444);
MODULE_PARM_DESC(type, "PCI Express device or port type");

static uint class;
module_param(class, uint, 0444);
MODULE_PARM_DESC(class, "class, subclass and interface");

static struct pci_dev *pdev, *other;
static unsigned short true_vendor, true_id, true_flags;
static unsigned int true_class;

/* For all devices that have the host bridge of this one; NULL: each by itself. */
static int set_dma_by(struct pci_dev *pdev, struct pci_dev *other)
{
#if IS_ENABLED(CONFIG_VMD)
	to_pci_sysdata(pdev->bus)->vmd_dev = other;
	return 0;
#else
	return -EOPNOTSUPP;
#endif
}

static int __init pretend_init(void)
{
	int err;

	pdev = find_device(device);
	if (IS_ERR(pdev))
		return PTR_ERR(pdev);

	if (dma_by) {
		other = find_device(dma_by);
		err = PTR_ERR_OR_ZERO(other);
		if (err)
			goto put_device;
		err = set_dma_by(pdev, other);
		if (err)
			goto put_other;
	}

	true_vendor = pdev->vendor;
	true_id = pdev->device;
	true_flags = pdev->pcie_flags_reg;
	true_class = pdev->class;
	if (vendor)
		pdev->vendor = vendor;
	if (id)
		pdev->device = id;
	if (type)
		pdev->pcie_flags_reg = (true_flags & ~PCI_EXP_FLAGS_TYPE) |
				       FIELD_PREP(PCI_EXP_FLAGS_TYPE, type);
	if (class)
		pdev->class = class;

	return 0;

put_other:
	pci_dev_put(other);
put_device:
	pci_dev_put(pdev);
	return err;
}
module_init(pretend_init);

static void __exit pretend_exit(void)
{
	pdev->vendor = true_vendor;
	pdev->device = true_id;
	pdev->pcie_flags_reg = true_flags;
	pdev->class = true_class;
	if (other) {
		set_dma_by(pdev, NULL);
		pci_dev_put(other);
	}
	pci_dev_put(pdev);
}
module_exit(pretend_exit);

MODULE_DESCRIPTION("Test of PCI Live Update with a device that is taken for another");
MODULE_LICENSE("GPL");
