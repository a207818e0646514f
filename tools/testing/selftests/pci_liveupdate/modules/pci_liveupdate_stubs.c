// SPDX-License-Identifier: GPL-2.0
/*
 * Calls every function of <linux/pci_liveupdate.h> in a kernel without
 * CONFIG_PCI_LIVEUPDATE. Can be loaded if each gives what is documented.
 */

#include <linux/liveupdate.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pci_liveupdate.h>

static struct liveupdate_file_handler handler = {
	.compatible = "pci-liveupdate-stubs-v1",
};

static int check(struct pci_dev *pdev)
{
	if (pci_liveupdate_register_flb(&handler) != -EOPNOTSUPP)
		return -EINVAL;
	if (pci_liveupdate_preserve(pdev) != -EOPNOTSUPP)
		return -EINVAL;
	if (pci_liveupdate_outgoing(pdev) || pci_liveupdate_incoming(pdev))
		return -EINVAL;
	if (pci_liveupdate_is_incoming(pdev))
		return -EINVAL;

	/* These say nothing and do nothing. */
	pci_liveupdate_unpreserve(pdev);
	pci_liveupdate_finish(pdev);
	pci_liveupdate_unregister_flb(&handler);

	return 0;
}

static int __init stubs_init(void)
{
	struct pci_dev *pdev = pci_get_device(PCI_ANY_ID, PCI_ANY_ID, NULL);
	int err;

	if (!pdev)
		return -ENODEV;
	err = check(pdev);
	pci_dev_put(pdev);

	return err;
}
module_init(stubs_init);

static void __exit stubs_exit(void)
{
}
module_exit(stubs_exit);

MODULE_DESCRIPTION("Test of PCI Live Update in a kernel without it");
MODULE_LICENSE("GPL");
