// SPDX-License-Identifier: GPL-2.0
/*
 * A driver whose device takes its time when the machine shuts down: what was shut down
 * before it is off by then, and processes are still there.
 *
 * Bound by driver_override.
 */

#include <linux/delay.h>
#include <linux/module.h>
#include <linux/pci.h>

static int linger_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	return 0;
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
	.shutdown = linger_shutdown,
};
module_pci_driver(linger_driver);

MODULE_DESCRIPTION("Test of what users do while the machine shuts down");
MODULE_LICENSE("GPL");
