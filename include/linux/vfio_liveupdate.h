/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Live update of VFIO devices: the VFIO core's part, that has to do with files.
 *
 * Documentation/driver-api/vfio-pci-liveupdate.rst explains the model.
 */
#ifndef _LINUX_VFIO_LIVEUPDATE_H
#define _LINUX_VFIO_LIVEUPDATE_H

#include <linux/cleanup.h>
#include <linux/list.h>
#include <linux/pci.h>
#include <linux/pci_liveupdate.h>
#include <linux/spinlock.h>
#include <linux/vfio.h>

struct file;
struct task_struct;

/* A system call on a device that is under way. Lives on the stack of who makes it. */
struct vfio_use {
	struct vfio_device *device;
	struct list_head entry;		/* in its list */
	struct task_struct *task;	/* who makes it */
};

#if IS_ENABLED(CONFIG_VFIO_PCI_LIVEUPDATE)

/**
 * vfio_device_init_uses - begin to count what is done to a device for its user
 * @device: the device, being allocated
 */
static inline void vfio_device_init_uses(struct vfio_device *device)
{
	spin_lock_init(&device->uses_lock);
	INIT_LIST_HEAD(&device->uses);
}

/**
 * vfio_device_begin_use - begin to do something to a device for its user
 * @device: the device
 * @use: what tells who does it, valid until vfio_device_end_use()
 *
 * The vfio_use class calls this, and vfio_device_end_use() at the end of its scope.
 *
 * Context: Process context. Holds up who freezes @device until vfio_device_end_use().
 * Return: @use, or NULL when @device is frozen.
 */
struct vfio_use *vfio_device_begin_use(struct vfio_device *device, struct vfio_use *use);

/**
 * vfio_device_end_use - end what vfio_device_begin_use() began
 * @use: what it was given
 *
 * Context: Process context.
 */
void vfio_device_end_use(struct vfio_use *use);

/**
 * vfio_device_freeze - let the user do nothing to a device any more
 * @device: the device, open, not frozen
 *
 * Further system calls on the device's files fail. Waits for those that are under way.
 *
 * Context: May sleep, for some seconds: for all devices together not longer than that
 *          until one of them is refused or unfrozen. Not to be called in such a system
 *          call, nor for two devices at the same time.
 * Return: 0, or -EBUSY when one takes too long, which is logged with the name of who
 *         makes it. The device is not frozen then.
 */
int vfio_device_freeze(struct vfio_device *device);

/**
 * vfio_device_unfreeze - undo vfio_device_freeze()
 * @device: the device, frozen
 *
 * Context: Process context. Not to be called while another device is being frozen.
 */
void vfio_device_unfreeze(struct vfio_device *device);

/**
 * vfio_device_is_incoming - tell whether only a live update may open a device
 * @device: the device, registered
 *
 * Context: Any context.
 * Return: true if the previous kernel preserved the device and it is not finished.
 */
static inline bool vfio_device_is_incoming(struct vfio_device *device)
{
	return dev_is_pci(device->dev) && pci_liveupdate_is_incoming(to_pci_dev(device->dev));
}

/**
 * vfio_device_from_bound_file - the device of a file that is bound to an iommufd
 * @file: any file
 * @why: on return, why @file is not one that came from a device's character device and
 *       is bound to an iommufd, or NULL if it is. Once it is, it stays so.
 *
 * Context: Any context.
 * Return: the device, or NULL when @file is not VFIO's.
 */
struct vfio_device *vfio_device_from_bound_file(struct file *file, const char **why);

/**
 * struct vfio_retrieved_file_ops - what to do when something is done to a retrieved file
 * @was_bound: it was bound to an iommufd: its device is taken over
 * @was_closed: its last user has closed it, bound or not: the device is to be stopped
 *              unless the live update is over
 *
 * Neither is called with a lock held that the Live Update Orchestrator takes, nor the device
 * set's. The device's driver stays loaded until they return, but may not be bound to the
 * device any more when a file is closed that was never bound.
 */
struct vfio_retrieved_file_ops {
	void (*was_bound)(struct vfio_device *device);
	void (*was_closed)(struct vfio_device *device, struct file *file);
};

/**
 * vfio_device_create_file - open a device as its character device does
 * @device: the device, registered
 * @ops: what to do when something is done to the file
 *
 * The Live Update Orchestrator is to know the file without keeping it open. Until the file
 * is bound to an iommufd, @device may be unregistered: it can't be bound after that.
 *
 * Context: May sleep.
 * Return: a new file, not bound yet, or an ERR_PTR(): -ENODEV when @device is being
 *         unregistered, -EPERM when it has no IOMMU and the caller lacks
 *         CAP_SYS_RAWIO, -ENFILE or -ENOMEM.
 */
struct file *vfio_device_create_file(struct vfio_device *device,
				     const struct vfio_retrieved_file_ops *ops);

/**
 * vfio_device_leave_set - take a device out of its set before it is released
 * @device: the device, unregistered
 *
 * Files that were never bound may keep it in memory, where it is to be in nobody's way.
 *
 * Context: May sleep. Takes the lock of the set.
 */
void vfio_device_leave_set(struct vfio_device *device);

#else

static inline void vfio_device_init_uses(struct vfio_device *device)
{
}

static inline struct vfio_use *vfio_device_begin_use(struct vfio_device *device,
						     struct vfio_use *use)
{
	return use;
}

static inline void vfio_device_end_use(struct vfio_use *use)
{
}

static inline bool vfio_device_is_incoming(struct vfio_device *device)
{
	return false;
}

static inline void vfio_device_leave_set(struct vfio_device *device)
{
}

#endif

/* While there is one that is not NULL, @device is not frozen. */
DEFINE_CLASS(vfio_use, struct vfio_use *, if (_T) vfio_device_end_use(_T),
	     vfio_device_begin_use(device, use),
	     struct vfio_device *device, struct vfio_use *use)

#endif /* _LINUX_VFIO_LIVEUPDATE_H */
