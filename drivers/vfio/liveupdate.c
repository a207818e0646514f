// SPDX-License-Identifier: GPL-2.0
/*
 * Live update of VFIO devices: the VFIO core's part, that has to do with files.
 * <linux/vfio_liveupdate.h> documents the functions.
 */

#include <linux/anon_inodes.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/fs.h>
#include <linux/liveupdate.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/vfio_liveupdate.h>
#include <linux/wait_bit.h>

#include "vfio.h"

/* How long a jump to the next kernel waits for users' system calls */
#define VFIO_FREEZE_TIMEOUT	(10 * HZ)

/*
 * What is left of that. It is for all devices together, so that who has many can't make it
 * longer. A jump ends, or is called off, by a device that is refused or by others that are
 * unfrozen: either begins anew. Live update freezes one after the other.
 */
static long time_left = VFIO_FREEZE_TIMEOUT;

struct vfio_use *vfio_device_begin_use(struct vfio_device *device, struct vfio_use *use)
{
	guard(spinlock)(&device->uses_lock);

	/* In the jump nobody changes a device, be it handed over or not. */
	if (device->frozen || pci_liveupdate_is_jumping())
		return NULL;

	use->device = device;
	use->task = current;
	list_add_tail(&use->entry, &device->uses);

	return use;
}

void vfio_device_end_use(struct vfio_use *use)
{
	struct vfio_device *device = use->device;

	guard(spinlock)(&device->uses_lock);

	list_del(&use->entry);
	if (device->frozen && list_empty(&device->uses))
		wake_up_var_locked(&device->uses, &device->uses_lock);
}

static bool is_used(struct vfio_device *device)
{
	guard(spinlock)(&device->uses_lock);

	return !list_empty(&device->uses);
}

int vfio_device_freeze(struct vfio_device *device)
{
	struct vfio_use *use;

	scoped_guard(spinlock, &device->uses_lock)
		device->frozen = true;

	time_left = wait_var_event_timeout(&device->uses, !is_used(device), time_left);

	scoped_guard(spinlock, &device->uses_lock) {
		use = list_first_entry_or_null(&device->uses, struct vfio_use, entry);
		if (!use)
			return 0;
		/* While it is in the list, its task is in the system call. */
		dev_err(device->dev,
			"liveupdate: cannot be handed over: a system call of %s[%d] on it does not end\n",
			use->task->comm, task_pid_nr(use->task));
	}
	vfio_device_unfreeze(device);

	return -EBUSY;
}
EXPORT_SYMBOL_GPL(vfio_device_freeze);

void vfio_device_unfreeze(struct vfio_device *device)
{
	time_left = VFIO_FREEZE_TIMEOUT;

	guard(spinlock)(&device->uses_lock);

	device->frozen = false;
}
EXPORT_SYMBOL_GPL(vfio_device_unfreeze);

struct vfio_device *vfio_device_from_bound_file(struct file *file, const char **why)
{
	struct vfio_device_file *df;

	*why = NULL;
	if (file->f_op != &vfio_device_fops)
		return NULL;

	df = file->private_data;
	if (df->group)
		*why = "its file comes from a group";
	/* Paired with smp_store_release() in vfio_df_ioctl_bind_iommufd() */
	else if (!smp_load_acquire(&df->access_granted))
		*why = "its file is not bound to an iommufd";

	return df->device;
}
EXPORT_SYMBOL_GPL(vfio_device_from_bound_file);

struct file *vfio_device_create_file(struct vfio_device *device,
				     const struct vfio_retrieved_file_ops *ops)
{
	struct vfio_device_file *df;
	struct file *file;

	df = vfio_device_cdev_get_file(device);
	if (IS_ERR(df))
		return ERR_CAST(df);

	df->retrieved_ops = ops;
	df->owner = device->dev->driver->owner;
	__module_get(df->owner);
	get_device(device->dev);
	get_device(&device->device);
	/*
	 * Until it is bound nobody can be asked to close it, so nothing waits for that: the
	 * device stays in memory, but may be unregistered.
	 */
	vfio_device_put_registration(device);

	file = anon_inode_getfile_fmode("[vfio-device]", &vfio_device_fops, df, O_RDWR,
					FMODE_PREAD | FMODE_PWRITE);
	if (IS_ERR(file)) {
		vfio_df_put_registration(df);
		kfree(df);
		return file;
	}
	/* All that is mapped of a device is in one address space. */
	file->f_mapping = device->inode->i_mapping;

	return file;
}
EXPORT_SYMBOL_GPL(vfio_device_create_file);

bool vfio_df_begin_bind(struct vfio_device_file *df)
{
	return !df->retrieved_ops || vfio_device_try_get_registration(df->device);
}

void vfio_df_bind_failed(struct vfio_device_file *df)
{
	if (df->retrieved_ops)
		vfio_device_put_registration(df->device);
}

void vfio_df_put_registration(struct vfio_device_file *df)
{
	struct vfio_device *device = df->device;
	struct device *dev = device->dev;

	if (!df->retrieved_ops || df->access_granted)
		vfio_device_put_registration(device);
	if (!df->retrieved_ops)
		return;

	/* The last one to let go of it calls the driver. */
	put_device(&device->device);
	put_device(dev);
	module_put(df->owner);
}

void vfio_df_was_bound(struct vfio_device_file *df)
{
	if (!df->retrieved_ops)
		return;

	df->retrieved_ops->was_bound(df->device);
	liveupdate_settle();
}

void vfio_df_was_closed(struct vfio_device_file *df, struct file *file)
{
	if (!df->retrieved_ops)
		return;

	/* The device is settled before anybody else can have its file. */
	df->retrieved_ops->was_closed(df->device, file);
	liveupdate_forget_file(file);
	liveupdate_settle();
}
