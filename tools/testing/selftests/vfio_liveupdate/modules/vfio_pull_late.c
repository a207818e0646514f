// SPDX-License-Identifier: GPL-2.0
/*
 * Pulls a device out of its slot when the machine is going down, which can't be called off
 * any more, and before devices are shut down:
 *
 *	insmod vfio_pull_late.ko device=0000:01:00.0
 *
 * Then gives whoever removes it a second to get as far as the device's lock.
 */

#include <linux/iopoll.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/reboot.h>

#include "../../pci_liveupdate/modules/address.h"

static char *device;
module_param(device, charp, 0444);
MODULE_PARM_DESC(device, "address of the device");

static struct pci_dev *pdev, *port;

static bool is_locked(void)
{
	if (!device_trylock(&pdev->dev))
		return true;
	device_unlock(&pdev->dev);

	return false;
}

/* As the selftests' plu_pull_out() does it */
static int pull_out(struct notifier_block *nb, unsigned long action, void *data)
{
	u16 control;
	bool locked;

	pcie_capability_read_word(port, PCI_EXP_SLTCTL, &control);
	pcie_capability_write_word(port, PCI_EXP_SLTCTL,
				   (control & ~PCI_EXP_SLTCTL_HPIE) | PCI_EXP_SLTCTL_PWR_OFF |
				   PCI_EXP_SLTCTL_PWR_IND_OFF);
	pcie_capability_write_word(port, PCI_EXP_SLTCTL, control);
	read_poll_timeout(is_locked, locked, locked, 10 * USEC_PER_MSEC, USEC_PER_SEC, false);

	return NOTIFY_DONE;
}

static struct notifier_block notifier = { .notifier_call = pull_out };

static int __init pull_late_init(void)
{
	pdev = find_device(device);
	if (IS_ERR(pdev))
		return PTR_ERR(pdev);
	port = pci_upstream_bridge(pdev);
	if (!port) {
		pci_dev_put(pdev);
		return -EINVAL;
	}
	pci_dev_get(port);

	return register_reboot_notifier(&notifier);
}
module_init(pull_late_init);

static void __exit pull_late_exit(void)
{
	unregister_reboot_notifier(&notifier);
	pci_dev_put(port);
	pci_dev_put(pdev);
}
module_exit(pull_late_exit);

MODULE_DESCRIPTION("Test of live update with vfio-pci that pulls a device out at the last moment");
MODULE_LICENSE("GPL");
