// SPDX-License-Identifier: GPL-2.0
/*
 * Live update of VFIO devices: the VFIO core's part, that has to do with files.
 * <linux/vfio_liveupdate.h> documents the functions.
 */

#include <linux/anon_inodes.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/fs.h>
#include <linux/limits.h>
#include <linux/liveupdate.h>
#include <linux/slab.h>
#include <linux/vfio_liveupdate.h>
#include <linux/wait_bit.h>

#include "vfio.h"

/* What is added to the number of users while a device is frozen */
#define VFIO_FROZEN	INT_MIN

/* How long the jump to the next kernel waits for a user's system call */
#define VFIO_FREEZE_TIMEOUT	(10 * HZ)

void vfio_device_end_use(struct vfio_device *device)
{
	if (atomic_dec_return(&device->users) == VFIO_FROZEN)
		wake_up_var(&device->users);
}

int vfio_device_freeze(struct vfio_device *device)
{
	atomic_add(VFIO_FROZEN, &device->users);
	if (wait_var_event_timeout(&device->users,
				   atomic_read_acquire(&device->users) == VFIO_FROZEN,
				   VFIO_FREEZE_TIMEOUT))
		return 0;

	vfio_device_unfreeze(device);

	return -EBUSY;
}
EXPORT_SYMBOL_GPL(vfio_device_freeze);

void vfio_device_unfreeze(struct vfio_device *device)
{
	atomic_sub(VFIO_FROZEN, &device->users);
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
	file = anon_inode_getfile_fmode("[vfio-device]", &vfio_device_fops, df, O_RDWR,
					FMODE_PREAD | FMODE_PWRITE);
	if (IS_ERR(file)) {
		kfree(df);
		vfio_device_put_registration(device);
		return file;
	}
	/* All that is mapped of a device is in one address space. */
	file->f_mapping = device->inode->i_mapping;

	return file;
}
EXPORT_SYMBOL_GPL(vfio_device_create_file);

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
	df->retrieved_ops->was_closed(df->device);
	liveupdate_forget_file(file);
	liveupdate_settle();
	df->retrieved_ops->was_settled(df->device);
}
