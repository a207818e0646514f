// SPDX-License-Identifier: GPL-2.0
/*
 * Calls the API as no driver does, and fails to load with the error that this gives.
 * Preserve a device, whatever its driver:
 *
 *	insmod pci_liveupdate_stray.ko device=0000:04:00.0
 *
 * Without a device: register the PCI core's data for a file handler, unregister it, and
 * do both again.
 */

#include <linux/kernel.h>
#include <linux/liveupdate.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pci_liveupdate.h>

static char *device;
module_param(device, charp, 0444);
MODULE_PARM_DESC(device, "address of the device");

static bool stray_can_preserve(struct liveupdate_file_handler *handler, struct file *file)
{
	return false;
}

static int stray_preserve_file(struct liveupdate_file_op_args *args)
{
	return -EINVAL;
}

static void stray_file(struct liveupdate_file_op_args *args)
{
}

static const struct liveupdate_file_ops stray_ops = {
	.can_preserve = stray_can_preserve,
	.preserve = stray_preserve_file,
	.unpreserve = stray_file,
	.retrieve = stray_preserve_file,
	.finish = stray_file,
	.owner = THIS_MODULE,
};

static struct liveupdate_file_handler stray_handler = {
	.ops = &stray_ops,
	.compatible = "pci-liveupdate-stray",
};

static int register_twice(void)
{
	int err = liveupdate_register_file_handler(&stray_handler);

	if (err)
		return err;

	for (int i = 0; !err && i < 2; i++) {
		err = pci_liveupdate_register_flb(&stray_handler);
		if (!err)
			pci_liveupdate_unregister_flb(&stray_handler);
	}
	liveupdate_unregister_file_handler(&stray_handler);

	return err;
}

static int preserve(void)
{
	unsigned int domain, bus, slot, function;
	struct pci_dev *pdev;
	int err;

	if (sscanf(device, "%x:%x:%x.%u", &domain, &bus, &slot, &function) != 4)
		return -EINVAL;

	pdev = pci_get_domain_bus_and_slot(domain, bus, PCI_DEVFN(slot, function));
	if (!pdev)
		return -ENXIO;

	err = pci_liveupdate_preserve(pdev);
	if (!err)
		pci_liveupdate_unpreserve(pdev);
	pci_dev_put(pdev);

	return err;
}

static int __init stray_init(void)
{
	return device ? preserve() : register_twice();
}
module_init(stray_init);

static void __exit stray_exit(void)
{
}
module_exit(stray_exit);

MODULE_DESCRIPTION("Test of PCI Live Update with calls that no driver makes");
MODULE_LICENSE("GPL");
