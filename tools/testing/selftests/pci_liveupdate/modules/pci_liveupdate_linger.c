// SPDX-License-Identifier: GPL-2.0
/*
 * A driver whose device takes its time when the machine shuts down: what was shut down
 * before it is off by then, and processes are still there. And when it is removed, if it is
 * told so:
 *
 *	echo 300 >/sys/module/pci_liveupdate_linger/parameters/remove_ms
 *
 * Bound by driver_override.
 */

#include <linux/delay.h>
#include <linux/module.h>
#include <linux/pci.h>

static uint remove_ms;
module_param(remove_ms, uint, 0644);
MODULE_PARM_DESC(remove_ms, "how long it takes to remove a device");

static bool remove_next;
module_param(remove_next, bool, 0644);
MODULE_PARM_DESC(remove_next, "remove the next function of the device with it");

static int linger_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	return 0;
}

/* Who removes it through sysfs keeps others from removing anything. */
static void linger_remove(struct pci_dev *pdev)
{
	struct pci_dev *next = pci_get_slot(pdev->bus, pdev->devfn + 1);

	if (remove_ms)
		msleep(remove_ms);
	if (remove_next && next)
		pci_stop_and_remove_bus_device(next);
	pci_dev_put(next);
}

static void linger_shutdown(struct pci_dev *pdev)
{
	msleep(500);
}

/* None is its own. */
static const struct pci_device_id linger_ids[] = {
	{ }
};

static struct pci_driver linger_driver = {
	.name = "pci_liveupdate_linger",
	.id_table = linger_ids,
	.probe = linger_probe,
	.remove = linger_remove,
	.shutdown = linger_shutdown,
};
module_pci_driver(linger_driver);

MODULE_DESCRIPTION("Test of what users do while the machine shuts down");
MODULE_LICENSE("GPL");
