// SPDX-License-Identifier: GPL-2.0
/*
 * Has a bridge plugged out and in while this is loaded, as the driver of a slot for
 * conventional PCI does, which can have other bridges beside it:
 *
 *	insmod pci_liveupdate_replug.ko device=0000:00:04.0
 */

#include <linux/module.h>
#include <linux/pci.h>

#include "../../../../../drivers/pci/pci.h"
#include "address.h"

static char *device;
module_param(device, charp, 0444);
MODULE_PARM_DESC(device, "address of the bridge");

static int plug_in(struct pci_bus *bus, unsigned int devfn)
{
	struct pci_dev *pdev;
	int err;

	pci_scan_slot(bus, PCI_DEVFN(PCI_SLOT(devfn), 0));
	pdev = pci_get_slot(bus, devfn);
	if (!pdev)
		return -ENODEV;

	err = pci_hp_add_bridge(pdev) ? -ENOSPC : 0;
	pci_bus_add_devices(bus);
	pci_dev_put(pdev);

	return err;
}

static int __init replug_init(void)
{
	struct pci_dev *pdev = find_device(device);
	struct pci_bus *bus;
	int err;

	if (IS_ERR(pdev))
		return PTR_ERR(pdev);

	bus = pdev->bus;
	pci_lock_rescan_remove();
	pci_stop_and_remove_bus_device(pdev);
	/* It was without power. */
	pci_bus_write_config_dword(bus, pdev->devfn, PCI_PRIMARY_BUS, 0);
	err = plug_in(bus, pdev->devfn);
	pci_unlock_rescan_remove();
	pci_dev_put(pdev);

	return err;
}
module_init(replug_init);

static void __exit replug_exit(void)
{
}
module_exit(replug_exit);

MODULE_DESCRIPTION("Test of PCI Live Update with conventional hot-plug of bridges");
MODULE_LICENSE("GPL");
