/* SPDX-License-Identifier: GPL-2.0 */
/*
 * PCI Live Update: what the PCI core calls.
 *
 * The functions are written in Rust, in drivers/pci/liveupdate/hooks.rs, where they
 * are documented. The inline ones in front of some of them test a flag in the device,
 * which is false wherever there is no hand-over.
 */
#ifndef DRIVERS_PCI_LIVEUPDATE_H
#define DRIVERS_PCI_LIVEUPDATE_H

#include <linux/compiler.h>
#include <linux/device.h>
#include <linux/liveupdate.h>
#include <linux/pci.h>
#include <linux/pci_liveupdate.h>
#include <linux/types.h>

#ifdef CONFIG_PCI_LIVEUPDATE
void pci_liveupdate_look_up(struct pci_dev *dev);
void pci_liveupdate_cleanup_device(struct pci_dev *dev);
void pci_liveupdate_device_added(struct pci_dev *dev);
void pci_liveupdate_device_removed(struct pci_dev *dev);
int pci_liveupdate_may_unbind(struct pci_dev *dev);
int pci_liveupdate_may_reset(struct pci_dev *dev);
bool pci_liveupdate_may_have_driver(struct pci_dev *dev, const char *name, bool is_override);
void pci_liveupdate_give_to_driver(struct pci_dev *dev, const char *name);
void pci_liveupdate_keep_awake(struct pci_dev *dev);
bool pci_liveupdate_keeps_master_in_jump(struct pci_dev *dev);
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

/* In drivers/pci/liveupdate/private.c */
extern bool pci_liveupdate_looks_up;
bool pci_liveupdate_is_removed(struct pci_dev *dev);
bool pci_liveupdate_needs_acs_quirk(struct pci_dev *dev);
/* The name of the method that a reset of @dev tries first */
const char *pci_liveupdate_reset_method(struct pci_dev *dev);

/* In drivers/pci/liveupdate/lookup.c: was the bus looked for, and all that is on it? */
bool pci_liveupdate_is_scanned(int domain, u8 bus);

/*
 * In drivers/pci/liveupdate/numbering.c: let no scan change bus numbers that began before.
 * Fails when one is under way for too long. If it gives 1,
 * pci_liveupdate_release_bus_numbers() has to follow.
 */
int pci_liveupdate_hold_bus_numbers(void);
void pci_liveupdate_release_bus_numbers(void);

/*
 * Is @dev incoming? It is being set up: its address is known, and nobody else can use it
 * yet. From now on its address can be asked for without its bus.
 */
static inline void pci_liveupdate_setup_device(struct pci_dev *dev)
{
	dev->liveupdate_domain = pci_domain_nr(dev->bus);
	if (unlikely(READ_ONCE(pci_liveupdate_looks_up)))
		pci_liveupdate_look_up(dev);
}

/*
 * Must the settings of @dev be left alone, since it is incoming? Not if it was removed
 * meanwhile: then it was stopped, and may have been without power.
 */
static inline bool pci_liveupdate_keep_setup(struct pci_dev *dev)
{
	return unlikely(dev->liveupdate_inherits) && !dev->liveupdate_found_again &&
	       pci_liveupdate_is_kept(dev);
}

/*
 * Must bus mastering stay on in @dev? In a bridge as long as a device below is incoming,
 * whatever became of the bridge, in any other device until it has a driver, whose business
 * it is then.
 */
static inline bool pci_liveupdate_keep_master(struct pci_dev *dev)
{
	if (pci_is_bridge(dev))
		return unlikely(dev->liveupdate_inherits) && pci_liveupdate_is_kept(dev);

	return pci_liveupdate_keep_setup(dev) && !dev->driver;
}

/* Can @dev have the driver @drv, as far as live update is concerned? */
static inline bool pci_liveupdate_may_match(struct pci_dev *dev, const struct pci_driver *drv)
{
	return likely(!dev->liveupdate_inherits) || drv->liveupdate ||
	       pci_liveupdate_may_have_driver(dev, drv->name,
					      device_has_driver_override(&dev->dev));
}

/* It has it next. */
static inline int pci_liveupdate_begin_probe(struct pci_dev *dev, const struct pci_driver *drv)
{
	if (likely(!dev->liveupdate_inherits) || drv->liveupdate)
		return 0;

	/* The override may have changed. */
	if (!pci_liveupdate_may_match(dev, drv))
		return -ENODEV;

	pci_liveupdate_give_to_driver(dev, drv->name);
	return 0;
}

/* Does @dev, which is being set up, have to stay awake? */
static inline void pci_liveupdate_init_pm(struct pci_dev *dev)
{
	if (unlikely(dev->liveupdate_inherits))
		pci_liveupdate_keep_awake(dev);
}

/* Does @dev keep bus mastering on its way to the next kernel? */
static inline bool pci_liveupdate_goes_on(struct pci_dev *dev)
{
	return unlikely(pci_liveupdate_outgoing(dev)) && pci_liveupdate_keeps_master_in_jump(dev);
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

static inline int pci_liveupdate_may_reset(struct pci_dev *dev)
{
	return 0;
}

static inline bool pci_liveupdate_may_match(struct pci_dev *dev, const struct pci_driver *drv)
{
	return true;
}

static inline int pci_liveupdate_begin_probe(struct pci_dev *dev, const struct pci_driver *drv)
{
	return 0;
}

static inline void pci_liveupdate_init_pm(struct pci_dev *dev)
{
}

static inline bool pci_liveupdate_goes_on(struct pci_dev *dev)
{
	return false;
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
