/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Live update of VFIO devices: vfio-pci-core's part, the state of a PCI device when the
 * kernel is replaced.
 */
#ifndef VFIO_PCI_FREEZE_H
#define VFIO_PCI_FREEZE_H

#include <linux/lockdep.h>
#include <linux/pci.h>
#include <linux/pci_liveupdate.h>
#include <linux/types.h>
#include <linux/vfio.h>
#include <linux/vfio_pci_core.h>

#if IS_ENABLED(CONFIG_VFIO_PCI_LIVEUPDATE)

/**
 * vfio_pci_core_freeze - settle the state of a device that is preserved
 * @vdev: the device, open
 *
 * From now on, the user can't do anything to the device. What was mapped of it is not
 * any more, and what ioeventfds write is held back. It may have interrupts, or sleep:
 * that is not changed before vfio_pci_core_hand_over().
 *
 * When this is refused, system calls have failed only while it was decided.
 *
 * Context: May sleep, see vfio_device_freeze(). Takes @vdev->memory_lock.
 * Return: 0, or -EBUSY when a system call on the device does not end, which is logged.
 */
int vfio_pci_core_freeze(struct vfio_pci_core_device *vdev);

/**
 * vfio_pci_core_unfreeze - undo vfio_pci_core_freeze()
 * @vdev: the device
 *
 * What ioeventfds were signalled to write meanwhile is written.
 *
 * Context: May sleep. Takes @vdev->ioeventfds_lock and memory_lock.
 */
void vfio_pci_core_unfreeze(struct vfio_pci_core_device *vdev);

/**
 * vfio_pci_core_is_frozen - tell whether a device may be neither mapped nor written to
 * @vdev: the device
 *
 * Context: @vdev->memory_lock is held.
 * Return: true between vfio_pci_core_freeze() and vfio_pci_core_unfreeze().
 */
static inline bool vfio_pci_core_is_frozen(struct vfio_pci_core_device *vdev)
{
	lockdep_assert_held(&vdev->memory_lock);

	return vdev->liveupdate_frozen;
}

/**
 * vfio_pci_core_hand_over - do to a frozen device what can't be undone
 * @vdev: the device
 * @keep_running: its user wishes so
 * @registers: what was in there before its first user had it, see
 *             pci_liveupdate_save_registers()
 *
 * Wakes the device and takes its interrupts away. Then, unless it is to keep running,
 * takes bus mastering from it and resets it, if it can be reset. What its user has written
 * to its configuration is gone then.
 *
 * Context: May sleep. The device's lock is held. Takes @vdev->memory_lock and igate.
 */
void vfio_pci_core_hand_over(struct vfio_pci_core_device *vdev, bool keep_running,
			     const u32 *registers);

/**
 * vfio_pci_core_shut_out - take a device from its user for good
 * @vdev: the device, which is not handed over
 * @registers: what was in there before its first user had it, see
 *             pci_liveupdate_save_registers()
 *
 * What was mapped of it is not any more, its interrupts are off, and so is bus mastering.
 * What its user has written to its configuration is gone.
 *
 * Context: May sleep. The machine jumps. Takes @vdev->igate and memory_lock.
 */
void vfio_pci_core_shut_out(struct vfio_pci_core_device *vdev, const u32 *registers);

/**
 * vfio_pci_core_is_shut_out - tell whether the user of a device must not wake it
 * @vdev: the device
 *
 * When it wakes, it is a bus master again if it was one when it fell asleep, but bus
 * mastering is taken for good from a device that is not handed over.
 *
 * Context: Any context. With @vdev->memory_lock held, it does not become true meanwhile but
 *          by the jump itself, and vfio_pci_core_shut_out() waits.
 * Return: true when the machine jumps and the device is not handed over.
 */
static inline bool vfio_pci_core_is_shut_out(struct vfio_pci_core_device *vdev)
{
	return vdev->liveupdate_shut_out ||
	       (pci_liveupdate_is_jumping() && !vdev->liveupdate_frozen);
}

/**
 * vfio_pci_core_reset - reset a device that is being opened
 * @vdev: the device
 *
 * Context: May sleep.
 * Return: as pci_try_reset_function(), by whomever it was called for the device that the
 *         previous kernel has handed over.
 */
int vfio_pci_core_reset(struct vfio_pci_core_device *vdev);

/**
 * vfio_pci_core_keeps_reset_off - tell whether a reset would hit a preserved device
 * @dev_set: devices that can only be reset together
 *
 * Context: The lock of @dev_set is held.
 * Return: true if one of the devices was handed over, or will be.
 */
bool vfio_pci_core_keeps_reset_off(struct vfio_device_set *dev_set);

/**
 * vfio_pci_core_keeps_running - tell whether a device was handed over without a stop
 * @vdev: the device, about to be opened
 *
 * Context: While @vdev is being opened.
 * Return: true if @vdev must not be reset, nor its bus mastering be taken from it.
 */
static inline bool vfio_pci_core_keeps_running(struct vfio_pci_core_device *vdev)
{
	return vdev->liveupdate_running;
}

#else

static inline bool vfio_pci_core_is_shut_out(struct vfio_pci_core_device *vdev)
{
	return false;
}

static inline int vfio_pci_core_reset(struct vfio_pci_core_device *vdev)
{
	return pci_try_reset_function(vdev->pdev);
}

static inline bool vfio_pci_core_is_frozen(struct vfio_pci_core_device *vdev)
{
	return false;
}

static inline bool vfio_pci_core_keeps_reset_off(struct vfio_device_set *dev_set)
{
	return false;
}

static inline bool vfio_pci_core_keeps_running(struct vfio_pci_core_device *vdev)
{
	return false;
}

#endif

#endif /* VFIO_PCI_FREEZE_H */
