// SPDX-License-Identifier: GPL-2.0

#include <linux/pci_liveupdate.h>

__rust_helper bool
rust_helper_pci_liveupdate_outgoing(struct pci_dev *dev)
{
	return pci_liveupdate_outgoing(dev);
}

__rust_helper void rust_helper_pci_liveupdate_set_user(struct pci_dev *dev,
						       enum pci_liveupdate_user user)
{
	pci_liveupdate_set_user(dev, user);
}

#ifndef CONFIG_PCI_LIVEUPDATE
__rust_helper bool rust_helper_pci_liveupdate_is_incoming(struct pci_dev *dev)
{
	return pci_liveupdate_is_incoming(dev);
}

__rust_helper int
rust_helper_pci_liveupdate_register_flb(struct liveupdate_file_handler *fh)
{
	return pci_liveupdate_register_flb(fh);
}

__rust_helper int rust_helper_pci_liveupdate_preserve(struct pci_dev *dev)
{
	return pci_liveupdate_preserve(dev);
}

__rust_helper int rust_helper_pci_liveupdate_unpreserve(struct pci_dev *dev)
{
	return pci_liveupdate_unpreserve(dev);
}

__rust_helper void rust_helper_pci_liveupdate_finish(struct pci_dev *dev)
{
	pci_liveupdate_finish(dev);
}

__rust_helper bool rust_helper_pci_liveupdate_is_stopped(struct pci_dev *dev)
{
	return pci_liveupdate_is_stopped(dev);
}
#endif
