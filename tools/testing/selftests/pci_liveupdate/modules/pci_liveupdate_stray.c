// SPDX-License-Identifier: GPL-2.0
/*
 * Calls the API as no driver does, and fails to load with the error that this gives.
 * Preserve a device, whatever it is and whatever its driver; unpreserve it; finish it; or
 * disable it, in the name of its driver, and enable it again:
 *
 *	insmod pci_liveupdate_stray.ko device=0000:04:00.0 call=preserve
 *
 * Without a device: register the PCI core's data for a file handler, unregister it, and
 * do both again. Or hold a reference to that data while this is loaded:
 *
 *	insmod pci_liveupdate_stray.ko call=hold
 */

#include <linux/compiler.h>
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/liveupdate.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pci_liveupdate.h>
#include <linux/string.h>

#include "address.h"

static char *device;
module_param(device, charp, 0444);
MODULE_PARM_DESC(device, "address of the device");

static char *call = "preserve";
module_param(call, charp, 0444);
MODULE_PARM_DESC(call, "preserve, unpreserve, finish, absent, disable or hold");

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

/* As in kernel/liveupdate/luo_flb.c */
struct luo_flb_link {
	struct liveupdate_flb *flb;
	struct list_head list;
};

/* To whose outgoing data there is a reference. */
static struct liveupdate_flb *held;

static int hold(void)
{
	int err = liveupdate_register_file_handler(&stray_handler);
	struct liveupdate_flb *flb;
	void *outgoing;

	if (err)
		return err;

	err = pci_liveupdate_register_flb(&stray_handler);
	if (err)
		goto unregister;

	/* Live Update's own tests add theirs to every handler, before. */
	flb = list_last_entry(&ACCESS_PRIVATE(&stray_handler, flb_list),
			      struct luo_flb_link, list)->flb;
	err = liveupdate_flb_get_outgoing(flb, &outgoing);
	if (err)
		goto unregister;
	held = flb;

	return 0;

unregister:
	liveupdate_unregister_file_handler(&stray_handler);
	return err;
}

static int preserve(struct pci_dev *pdev)
{
	int err = pci_liveupdate_preserve(pdev);

	if (!err)
		pci_liveupdate_unpreserve(pdev);

	return err;
}

static int disable(struct pci_dev *pdev)
{
	pci_disable_device(pdev);

	return pci_enable_device(pdev);
}

static int finish_absent(void)
{
	struct address address;
	int err = parse_address(device, &address);

	if (!err)
		pci_liveupdate_finish_absent(address.domain,
					     PCI_DEVID(address.bus, address.devfn));

	return err;
}

static int call_with_device(void)
{
	struct pci_dev *pdev;
	int err = 0;

	if (!strcmp(call, "absent"))
		return finish_absent();

	pdev = find_device(device);
	/* The functions have an error of their own for "no device". */
	if (IS_ERR(pdev))
		return -ENXIO;

	if (!strcmp(call, "preserve"))
		err = preserve(pdev);
	else if (!strcmp(call, "unpreserve"))
		err = pci_liveupdate_unpreserve(pdev);
	else if (!strcmp(call, "finish"))
		pci_liveupdate_finish(pdev);
	else
		err = disable(pdev);
	pci_dev_put(pdev);

	return err;
}

static int __init stray_init(void)
{
	if (device)
		return call_with_device();

	return strcmp(call, "hold") ? register_twice() : hold();
}
module_init(stray_init);

static void __exit stray_exit(void)
{
	if (!held)
		return;

	liveupdate_flb_put_outgoing(held);
	liveupdate_unregister_file_handler(&stray_handler);
}
module_exit(stray_exit);

MODULE_DESCRIPTION("Test of PCI Live Update with calls that no driver makes");
MODULE_LICENSE("GPL");
