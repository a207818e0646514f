// SPDX-License-Identifier: GPL-2.0
/*
 * Has looked up what a device can reach, as when the kernel is about to be replaced, and tells
 * how long that took, by the processor's clock:
 *
 *	insmod vfio_check_cost.ko device=0000:00:06.0
 *	cat /sys/module/vfio_check_cost/parameters/took
 */

#include <linux/iommu_liveupdate.h>
#include <linux/module.h>
#include <linux/pci.h>

#include <asm/msr.h>

#include "../../pci_liveupdate/modules/address.h"

static char *device;
module_param(device, charp, 0444);
MODULE_PARM_DESC(device, "address of the device");

static ullong took;
module_param(took, ullong, 0444);
MODULE_PARM_DESC(took, "how long it took");

static int __init check_cost_init(void)
{
	struct pci_dev *pdev = find_device(device);
	int ret;

	if (IS_ERR(pdev))
		return PTR_ERR(pdev);

	took = rdtsc_ordered();
	ret = iommu_liveupdate_freeze(&pdev->dev);
	took = rdtsc_ordered() - took;
	pci_dev_put(pdev);

	return ret;
}
module_init(check_cost_init);

static void __exit check_cost_exit(void)
{
}
module_exit(check_cost_exit);

MODULE_DESCRIPTION("Test of live update with vfio-pci that times what is done for an IOMMU");
MODULE_LICENSE("GPL");
