/* SPDX-License-Identifier: GPL-2.0 */
/*
 * PCI Live Update: what the PCI core calls.
 *
 * The functions are written in Rust, in drivers/pci/liveupdate/entry.rs, where they
 * are documented. The inline ones in front of some of them test a flag in the device,
 * which is false wherever there is no hand-over.
 */
#ifndef DRIVERS_PCI_LIVEUPDATE_H
#define DRIVERS_PCI_LIVEUPDATE_H

#include <linux/compiler.h>
#include <linux/liveupdate.h>
#include <linux/pci.h>
#include <linux/pci_liveupdate.h>
#include <linux/types.h>

#ifdef CONFIG_PCI_LIVEUPDATE
void pci_liveupdate_setup_device(struct pci_dev *dev);
void pci_liveupdate_cleanup_device(struct pci_dev *dev);
void pci_liveupdate_device_added(struct pci_dev *dev);
void pci_liveupdate_device_removed(struct pci_dev *dev);
int pci_liveupdate_may_unbind(struct pci_dev *dev);
bool pci_liveupdate_keep_buses(void);
void pci_liveupdate_bus_numbers_lost(struct pci_dev *bridge);
bool pci_liveupdate_may_assign_bus(struct pci_dev *bridge, int number);
bool pci_liveupdate_is_kept(struct pci_dev *dev);
void pci_liveupdate_adopt_acs(struct pci_dev *dev);
void pci_liveupdate_write_acs(struct pci_dev *dev);

/* In drivers/pci/liveupdate/removals.c: a jump is under way, or was called off */
int pci_liveupdate_hold_off_removals(void);
void pci_liveupdate_let_removals_go_on(void);
bool pci_liveupdate_are_removals_held_off(void);

/*
 * Is there a point in removing @dev? Waits while it isn't decided whether to jump. If so,
 * pci_liveupdate_end_removal() has to follow.
 */
bool pci_liveupdate_begin_removal(struct pci_dev *dev);
void pci_liveupdate_end_removal(void);

/* In drivers/pci/liveupdate/scanned.c: was the bus looked for, and all that is on it? */
bool pci_liveupdate_is_scanned(int domain, u8 bus);

/* Must the settings of @dev be left alone, since it is incoming? */
static inline bool pci_liveupdate_keep_setup(struct pci_dev *dev)
{
	return unlikely(dev->liveupdate_inherits) && pci_liveupdate_is_kept(dev);
}

/*
 * Must bus mastering stay on in @dev? Always in a bridge, in any other device until
 * it has a driver, whose business it is then.
 */
static inline bool pci_liveupdate_keep_master(struct pci_dev *dev)
{
	return pci_liveupdate_keep_setup(dev) &&
	       (pci_is_bridge(dev) || !dev->driver);
}

static inline void pci_liveupdate_add_device(struct pci_dev *dev)
{
	if (unlikely(dev->liveupdate_inherits || dev->liveupdate_reset_due))
		pci_liveupdate_device_added(dev);
}

static inline void pci_liveupdate_remove_device(struct pci_dev *dev)
{
	if (unlikely(pci_liveupdate_outgoing(dev) || dev->liveupdate_inherits))
		pci_liveupdate_device_removed(dev);
}

/* @dev is not found any more: a session may have waited for it only. */
static inline void pci_liveupdate_device_gone(struct pci_dev *dev)
{
	if (unlikely(dev->liveupdate_inherits))
		liveupdate_settle();
}

/* Remember the ACS controls of @dev if they are to be kept. */
static inline void pci_liveupdate_acs_init(struct pci_dev *dev)
{
	if (unlikely(dev->liveupdate_inherits))
		pci_liveupdate_adopt_acs(dev);
}

/* Are the ACS controls of @dev kept? Then see to it that they are there. */
static inline bool pci_liveupdate_keep_acs(struct pci_dev *dev)
{
	if (likely(!dev->liveupdate_keeps_acs))
		return false;

	pci_liveupdate_write_acs(dev);
	return true;
}
#else
static inline void pci_liveupdate_setup_device(struct pci_dev *dev)
{
}

static inline void pci_liveupdate_cleanup_device(struct pci_dev *dev)
{
}

static inline void pci_liveupdate_add_device(struct pci_dev *dev)
{
}

static inline void pci_liveupdate_remove_device(struct pci_dev *dev)
{
}

static inline void pci_liveupdate_device_gone(struct pci_dev *dev)
{
}

static inline int pci_liveupdate_may_unbind(struct pci_dev *dev)
{
	return 0;
}

static inline bool pci_liveupdate_begin_removal(struct pci_dev *dev)
{
	return true;
}

static inline void pci_liveupdate_end_removal(void)
{
}

static inline bool pci_liveupdate_keep_buses(void)
{
	return false;
}

static inline void pci_liveupdate_bus_numbers_lost(struct pci_dev *bridge)
{
}

static inline bool pci_liveupdate_may_assign_bus(struct pci_dev *bridge, int number)
{
	return true;
}

static inline bool pci_liveupdate_keep_setup(struct pci_dev *dev)
{
	return false;
}

static inline bool pci_liveupdate_keep_master(struct pci_dev *dev)
{
	return false;
}

static inline void pci_liveupdate_acs_init(struct pci_dev *dev)
{
}

static inline bool pci_liveupdate_keep_acs(struct pci_dev *dev)
{
	return false;
}
#endif

#endif /* DRIVERS_PCI_LIVEUPDATE_H */
