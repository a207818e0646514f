// SPDX-License-Identifier: GPL-2.0
/*
 * Holds up the removal of a bridge and a device below it, at two moments: when the
 * bridge has lost its driver, as all below it have before, and when the device is about
 * to leave its bus:
 *
 *	insmod pci_liveupdate_pause.ko bridge=0000:00:04.0 device=0000:04:00.0
 *	cat /sys/module/pci_liveupdate_pause/parameters/at	(0, 1 or 2: where it is)
 *	echo 1 >/sys/module/pci_liveupdate_pause/parameters/passed
 */

#include <linux/delay.h>
#include <linux/device/bus.h>
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/pci.h>

#include "address.h"

static char *bridge;
module_param(bridge, charp, 0444);
MODULE_PARM_DESC(bridge, "address of the bridge");

static char *device;
module_param(device, charp, 0444);
MODULE_PARM_DESC(device, "address of the device");

static int at;
module_param(at, int, 0444);
MODULE_PARM_DESC(at, "which moment has come");

static int passed;
module_param(passed, int, 0644);
MODULE_PARM_DESC(passed, "which moment has been waited for long enough");

static struct pci_dev *bridge_pdev, *pdev;

static void pause(int moment)
{
	WRITE_ONCE(at, moment);
	while (READ_ONCE(passed) < moment)
		msleep(20);
}

static int notified(struct notifier_block *nb, unsigned long action, void *dev)
{
	if (action == BUS_NOTIFY_UNBOUND_DRIVER && dev == &bridge_pdev->dev)
		pause(1);
	if (action == BUS_NOTIFY_DEL_DEVICE && dev == &pdev->dev)
		pause(2);

	return NOTIFY_DONE;
}

static struct notifier_block notifier = { .notifier_call = notified };

static int __init pause_init(void)
{
	int err;

	bridge_pdev = find_device(bridge);
	if (IS_ERR(bridge_pdev))
		return PTR_ERR(bridge_pdev);

	pdev = find_device(device);
	if (IS_ERR(pdev)) {
		pci_dev_put(bridge_pdev);
		return PTR_ERR(pdev);
	}

	err = bus_register_notifier(&pci_bus_type, &notifier);
	if (err) {
		pci_dev_put(pdev);
		pci_dev_put(bridge_pdev);
	}

	return err;
}
module_init(pause_init);

static void __exit pause_exit(void)
{
	WRITE_ONCE(passed, 2);
	bus_unregister_notifier(&pci_bus_type, &notifier);
	pci_dev_put(pdev);
	pci_dev_put(bridge_pdev);
}
module_exit(pause_exit);

MODULE_DESCRIPTION("Test of PCI Live Update with a removal that is under way");
MODULE_LICENSE("GPL");
