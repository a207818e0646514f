// SPDX-License-Identifier: GPL-2.0

#include <linux/device.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/pci_liveupdate.h>
#include <linux/pm_runtime.h>

#ifdef CONFIG_PCI_LIVEUPDATE
#include "../../drivers/pci/pci.h"
#endif

__rust_helper const struct pci_dev_ser *
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

__rust_helper void rust_helper_pci_liveupdate_stop(struct pci_dev *dev)
{
	pci_liveupdate_stop(dev);
}

__rust_helper bool rust_helper_pci_liveupdate_is_stopped(struct pci_dev *dev)
{
	return pci_liveupdate_is_stopped(dev);
}
#endif

#ifdef CONFIG_PCI_LIVEUPDATE
__rust_helper int rust_helper_pci_domain_nr(struct pci_bus *bus)
{
	return pci_domain_nr(bus);
}

__rust_helper struct pci_dev *rust_helper_pci_upstream_bridge(struct pci_dev *dev)
{
	return pci_upstream_bridge(dev);
}

__rust_helper bool rust_helper_pci_dev_is_removed(struct pci_dev *dev)
{
	return test_bit(PCI_DEV_REMOVED, &dev->priv_flags);
}

/* The name of the method that a reset of @dev tries first. */
__rust_helper const char *rust_helper_pci_reset_method(struct pci_dev *dev)
{
	return pci_reset_fn_methods[READ_ONCE(dev->reset_methods[0])].name;
}

__rust_helper bool rust_helper_pci_dev_specific_acs(struct pci_dev *dev)
{
	return pci_dev_specific_acs(dev);
}

__rust_helper int rust_helper_device_trylock(struct device *dev)
{
	return device_trylock(dev);
}

__rust_helper void rust_helper_device_unlock(struct device *dev)
{
	device_unlock(dev);
}

__rust_helper int rust_helper_pm_runtime_resume_and_get(struct device *dev)
{
	return pm_runtime_resume_and_get(dev);
}

__rust_helper void rust_helper_pm_runtime_get_noresume(struct device *dev)
{
	pm_runtime_get_noresume(dev);
}

__rust_helper void rust_helper_pm_runtime_put(struct device *dev)
{
	pm_runtime_put(dev);
}

__rust_helper bool rust_helper_iommu_is_dma_translated(struct device *dev)
{
	return iommu_is_dma_translated(dev);
}
#endif

#ifdef CONFIG_PCI_LIVEUPDATE_KUNIT_TEST
__rust_helper void rust_helper_folio_get(struct folio *folio)
{
	folio_get(folio);
}

__rust_helper int rust_helper_folio_ref_count(const struct folio *folio)
{
	return folio_ref_count(folio);
}
#endif
