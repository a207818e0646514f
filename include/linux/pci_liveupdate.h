/* SPDX-License-Identifier: GPL-2.0 */
/*
 * PCI Live Update: what drivers call.
 *
 * A driver that does says so in &struct pci_driver.liveupdate, or isn't bound to a device
 * that the previous kernel preserved.
 *
 * Documentation/PCI/liveupdate.rst explains the model and the life of a device.
 */
#ifndef _LINUX_PCI_LIVEUPDATE_H
#define _LINUX_PCI_LIVEUPDATE_H

#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/pci.h>
#include <linux/types.h>

struct liveupdate_file_handler;

/**
 * enum pci_liveupdate_user - how far the user of an incoming device has come
 * @PCI_LIVEUPDATE_WAITING: nobody has retrieved the file that stands for it
 * @PCI_LIVEUPDATE_RETRIEVED: the file was retrieved, but is not in use yet
 * @PCI_LIVEUPDATE_TAKEN_OVER: it is in use, but its session is not finished
 * @PCI_LIVEUPDATE_CLOSED: its user has gone, and it was stopped
 */
enum pci_liveupdate_user {
	PCI_LIVEUPDATE_WAITING,
	PCI_LIVEUPDATE_RETRIEVED,
	PCI_LIVEUPDATE_TAKEN_OVER,
	PCI_LIVEUPDATE_CLOSED,
};

/* How many registers pci_liveupdate_save_registers() saves */
#define PCI_LIVEUPDATE_NR_REGISTERS	11

#ifdef CONFIG_PCI_LIVEUPDATE

/**
 * pci_liveupdate_register_flb - bind the PCI core's data to files of a handler
 * @fh: file handler, registered with liveupdate_register_file_handler()
 *
 * From now on PCI devices can be preserved while at least one file of @fh is. A
 * driver calls this once for each of its file handlers, before any file of it can
 * be preserved.
 *
 * Context: May sleep.
 * Return: 0, or a negative errno: -EOPNOTSUPP when live update is off, -EEXIST
 *         when it was called for @fh before, -EINVAL when @fh is not registered,
 *         -ENOSPC when there is no room for more such data, or -ENOMEM.
 */
int pci_liveupdate_register_flb(struct liveupdate_file_handler *fh);

/**
 * pci_liveupdate_unregister_flb - undo pci_liveupdate_register_flb()
 * @fh: the file handler, of which no file is preserved
 *
 * Not needed before liveupdate_unregister_file_handler(), which does the same.
 *
 * Context: May sleep.
 */
void pci_liveupdate_unregister_flb(struct liveupdate_file_handler *fh);

/**
 * pci_liveupdate_preserve - tell the next kernel that a device is kept alive
 * @dev: the device, bound to the caller
 *
 * To be called from &liveupdate_file_ops.preserve of a file that stands for @dev,
 * whose handler was given to pci_liveupdate_register_flb(). The bridges above @dev
 * are preserved with it.
 *
 * Context: May sleep. Takes the mutex of the outgoing data.
 * Return: 0, or a negative errno, in which case nothing has changed:
 *         -EBUSY when @dev is preserved already, or the next kernel is on its way, or
 *         a scan that may assign bus numbers anew takes longer than a second;
 *         -EINVAL when @dev is of a kind that cannot be preserved, which is logged:
 *         a virtual function, a bridge, one that needs a device-specific ACS quirk,
 *         or one that is not alone in its IOMMU group for good;
 *         -ENODEV when @dev was removed or has no driver,
 *         -ENOENT when no file is preserved that the PCI core's data is bound to,
 *         -EOPNOTSUPP when live update is off, -ENOSPC, -EOVERFLOW or -ENOMEM.
 */
int pci_liveupdate_preserve(struct pci_dev *dev);

/**
 * pci_liveupdate_unpreserve - undo pci_liveupdate_preserve()
 * @dev: the device
 *
 * To be called from &liveupdate_file_ops.unpreserve. Logs a warning when it fails.
 *
 * Context: May sleep. Takes the mutex of the outgoing data.
 * Return: 0, or a negative errno, in which case nothing has changed: -ENOENT when
 *         @dev is not preserved, unless it was removed, -EBUSY when the next kernel is on
 *         its way.
 */
int pci_liveupdate_unpreserve(struct pci_dev *dev);

/**
 * pci_liveupdate_finish - tell the PCI core that the driver has a device back
 * @dev: the device, incoming
 *
 * From now on @dev is a device like any other, but for its ACS controls, which it
 * keeps. So are the bridges above it, unless another device below them is incoming
 * still. To be called from &liveupdate_file_ops.finish. @dev may have been removed
 * meanwhile; if it was found again, it is finished, too. Warns, and does nothing else,
 * when @dev is not incoming.
 *
 * Context: May sleep.
 */
void pci_liveupdate_finish(struct pci_dev *dev);

/**
 * pci_liveupdate_finish_absent - tell the PCI core that a device will not come back
 * @domain: the domain of the device
 * @bdf: its bus, device and function in there
 *
 * For a driver that has no &struct pci_dev to call pci_liveupdate_finish() with, as the
 * device is not there. If it is, it is finished like that. Of the bridges that were
 * above it those are finished that lead to its bus. Does nothing when there is no
 * record of it, or it is finished.
 *
 * Context: May sleep.
 */
void pci_liveupdate_finish_absent(int domain, u16 bdf);

/**
 * pci_liveupdate_get_device - find a device by what a record says of it
 * @domain: the domain of the device
 * @bdf: its bus, device and function in there
 *
 * As pci_get_domain_bus_and_slot(), but does not take longer the more devices there are.
 *
 * Context: May sleep.
 * Return: the device, for pci_dev_put(), or NULL when there is none.
 */
struct pci_dev *pci_liveupdate_get_device(int domain, u16 bdf);

/**
 * pci_liveupdate_try_hold_devices - keep all devices from being added or removed
 *
 * Who removes one may wait for its user, so this does not wait.
 *
 * Context: May sleep.
 * Return: true if that is so, until pci_liveupdate_let_devices_go().
 */
bool pci_liveupdate_try_hold_devices(void);

/**
 * pci_liveupdate_let_devices_go - end what pci_liveupdate_try_hold_devices() has begun
 *
 * Context: May sleep. The same thread.
 */
void pci_liveupdate_let_devices_go(void);

/**
 * pci_liveupdate_outgoing - tell whether a device is outgoing
 * @dev: the device
 *
 * An outgoing device is preserved for the next kernel. A bridge is while a device below
 * it is.
 *
 * Context: Any context. The answer changes with pci_liveupdate_preserve() and
 *          pci_liveupdate_unpreserve(), when the last file is unpreserved, and for a
 *          device that was removed, when the kernel is replaced.
 * Return: true if @dev is outgoing.
 */
static inline bool pci_liveupdate_outgoing(struct pci_dev *dev)
{
	return READ_ONCE(dev->liveupdate_outgoing);
}

/**
 * pci_liveupdate_is_incoming - tell whether a device is incoming
 * @dev: the device
 *
 * An incoming device was preserved by the previous kernel and is not finished. It
 * may be doing DMA. A bridge is incoming while a device below it is.
 *
 * Context: Any context.
 * Return: true if @dev is incoming.
 */
bool pci_liveupdate_is_incoming(struct pci_dev *dev);

/**
 * pci_liveupdate_incoming - pci_liveupdate_is_incoming(), for many devices
 * @dev: the device
 *
 * Costs next to nothing where nothing was handed over.
 *
 * Context: Any context.
 * Return: true if @dev is incoming.
 */
static inline bool pci_liveupdate_incoming(struct pci_dev *dev)
{
	return unlikely(dev->liveupdate_inherits) && pci_liveupdate_is_incoming(dev);
}

/**
 * pci_liveupdate_stop - stop a device that may be doing DMA
 * @dev: the device, not a bridge
 *
 * Switches off bus mastering and interrupts, and waits until no transaction of @dev
 * is pending. Then @dev is reset, if it can be, and if its lock, and that of the
 * bridge above it, can be had without waiting for them. Its configuration is the same
 * afterwards, but for what a user may have left there: see
 * pci_liveupdate_restore_registers(). What came of it is logged. Nothing is written to
 * a device that is not there any more.
 *
 * Context: May sleep, but for no longer than a reset takes.
 */
void pci_liveupdate_stop(struct pci_dev *dev);

/**
 * pci_liveupdate_stop_locked - pci_liveupdate_stop() with the lock held
 * @dev: the device, whose lock the caller holds
 *
 * Context: May sleep, but for no longer than a reset takes.
 */
void pci_liveupdate_stop_locked(struct pci_dev *dev);

/**
 * pci_liveupdate_is_stopped - tell whether a device was stopped
 * @dev: the device
 *
 * What is in the registers of such a device is not what the previous kernel left. An
 * incoming device that was removed, and found again, was stopped, too.
 *
 * Context: Any context.
 * Return: true if pci_liveupdate_stop() was called for @dev, by whomever.
 */
bool pci_liveupdate_is_stopped(struct pci_dev *dev);

/**
 * pci_liveupdate_is_jumping - tell whether users may not change devices any more
 *
 * Bus mastering goes off in all devices that are not handed over, and must stay so.
 *
 * Context: Any context.
 * Return: true when the machine jumps to the next kernel, and can't be kept from that.
 */
bool pci_liveupdate_is_jumping(void);

/**
 * pci_liveupdate_save_registers - remember what is in registers that a user may change
 * @dev: the device
 * @values: %PCI_LIVEUPDATE_NR_REGISTERS of them
 *
 * These are bits of the command register, cache line size, latency timer, the command of
 * PCI-X, device control, error reporting and precision time measurement. They can be handed
 * over: all kernels have the same registers, in the same order. Nothing is read from a
 * device that does not answer.
 *
 * Context: May sleep. @dev is awake.
 */
void pci_liveupdate_save_registers(struct pci_dev *dev, u32 *values);

/**
 * pci_liveupdate_restore_registers - take from a device what a user has left in it
 * @dev: the device
 * @values: what pci_liveupdate_save_registers() gave for it, or NULL when that isn't known:
 *          then the registers get values that do no harm
 *
 * Writes no bit that a user can't have changed: neither bus mastering, nor the maximum
 * payload size. What the kernel itself sets of the others, such as error reporting, is off
 * with the values that do no harm.
 *
 * Context: May sleep. @dev is awake.
 */
void pci_liveupdate_restore_registers(struct pci_dev *dev, const u32 *values);

/**
 * pci_liveupdate_is_absent - tell whether a device was handed over, and is not there
 * @domain: the domain of the device
 * @bdf: its bus, device and function in there
 *
 * Context: May sleep. Not to be called with LUO's lock of the PCI core's data held.
 * Return: true if there is a record of it that is not finished, and no device.
 */
bool pci_liveupdate_is_absent(int domain, u16 bdf);

/**
 * pci_liveupdate_stop_absent - stop what was handed over and is not there
 *
 * For the driver of a file whose device can't be found, before the memory goes that the
 * device may write to. A device that was removed was stopped then. One that is not found
 * where it was is gone, or below a bridge that has lost its bus numbers, of which the bus
 * mastering goes off. Devices that are found later are stopped.
 *
 * Context: May sleep. Doesn't take locks of devices. Not to be called with LUO's lock of
 *          the PCI core's data held.
 * Return: true if none of them can be running; false while the host bridge of one is not
 *         there yet, so that nobody knows.
 */
bool pci_liveupdate_stop_absent(void);

/**
 * pci_liveupdate_set_user - tell how far the user of an incoming device has come
 * @dev: the device
 * @user: how far
 *
 * For people to see, in debugfs.
 *
 * Context: Any context.
 */
static inline void pci_liveupdate_set_user(struct pci_dev *dev,
					   enum pci_liveupdate_user user)
{
	WRITE_ONCE(dev->liveupdate_user, user);
}

#else /* CONFIG_PCI_LIVEUPDATE */

static inline int pci_liveupdate_register_flb(struct liveupdate_file_handler *fh)
{
	return -EOPNOTSUPP;
}

static inline void pci_liveupdate_unregister_flb(struct liveupdate_file_handler *fh)
{
}

static inline int pci_liveupdate_preserve(struct pci_dev *dev)
{
	return -EOPNOTSUPP;
}

static inline int pci_liveupdate_unpreserve(struct pci_dev *dev)
{
	return -ENOENT;
}

static inline void pci_liveupdate_finish(struct pci_dev *dev)
{
}

static inline void pci_liveupdate_finish_absent(int domain, u16 bdf)
{
}

static inline struct pci_dev *pci_liveupdate_get_device(int domain, u16 bdf)
{
	return NULL;
}

static inline bool pci_liveupdate_outgoing(struct pci_dev *dev)
{
	return false;
}

static inline bool pci_liveupdate_incoming(struct pci_dev *dev)
{
	return false;
}

static inline bool pci_liveupdate_is_incoming(struct pci_dev *dev)
{
	return false;
}

static inline void pci_liveupdate_stop(struct pci_dev *dev)
{
}

static inline void pci_liveupdate_stop_locked(struct pci_dev *dev)
{
}

static inline bool pci_liveupdate_is_stopped(struct pci_dev *dev)
{
	return false;
}

static inline bool pci_liveupdate_is_jumping(void)
{
	return false;
}

static inline void pci_liveupdate_save_registers(struct pci_dev *dev, u32 *values)
{
}

static inline void pci_liveupdate_restore_registers(struct pci_dev *dev, const u32 *values)
{
}

static inline bool pci_liveupdate_is_absent(int domain, u16 bdf)
{
	return false;
}

static inline bool pci_liveupdate_stop_absent(void)
{
	return true;
}

static inline void pci_liveupdate_set_user(struct pci_dev *dev,
					   enum pci_liveupdate_user user)
{
}

#endif /* CONFIG_PCI_LIVEUPDATE */

#endif /* _LINUX_PCI_LIVEUPDATE_H */
