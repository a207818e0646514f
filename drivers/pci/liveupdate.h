/* SPDX-License-Identifier: GPL-2.0 */
/*
 * PCI Live Update: what the PCI core calls.
 */
#ifndef DRIVERS_PCI_LIVEUPDATE_H
#define DRIVERS_PCI_LIVEUPDATE_H

struct pci_dev;

#ifdef CONFIG_PCI_LIVEUPDATE
void pci_liveupdate_setup_device(struct pci_dev *dev);
void pci_liveupdate_cleanup_device(struct pci_dev *dev);
int pci_liveupdate_may_unbind(struct pci_dev *dev);
int pci_liveupdate_may_remove(struct pci_dev *dev);
#else
static inline void pci_liveupdate_setup_device(struct pci_dev *dev)
{
}

static inline void pci_liveupdate_cleanup_device(struct pci_dev *dev)
{
}

static inline int pci_liveupdate_may_unbind(struct pci_dev *dev)
{
	return 0;
}

static inline int pci_liveupdate_may_remove(struct pci_dev *dev)
{
	return 0;
}
#endif

#endif /* DRIVERS_PCI_LIVEUPDATE_H */
