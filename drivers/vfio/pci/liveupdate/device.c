// SPDX-License-Identifier: GPL-2.0
/*
 * Live update of vfio-pci's devices: what only C can say of them. device.rs makes it
 * fit for use in Rust.
 */

#include <linux/delay.h>
#include <linux/device.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/hashtable.h>
#include <linux/iommu.h>
#include <linux/iommu_liveupdate.h>
#include <linux/iommufd.h>
#include <linux/iopoll.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/pci_liveupdate.h>
#include <linux/pm_runtime.h>
#include <linux/reboot.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/vfio_liveupdate.h>
#include <linux/workqueue.h>

#include "../vfio_pci_priv.h"
#include "vfio_pci_liveupdate.h"

static struct vfio_pci_core_device *to_core(struct vfio_device *device)
{
	return container_of(device, struct vfio_pci_core_device, vdev);
}

/* The device that we are bound to, with its lock held. */
static struct vfio_pci_core_device *core_of(struct pci_dev *pdev)
{
	device_lock_assert(&pdev->dev);

	if (pdev->dev.driver != &vfio_pci_driver.driver)
		return NULL;

	return dev_get_drvdata(&pdev->dev);
}

/*
 * All devices that we are bound to, until their last user has gone. The lock of a device
 * can't be used for that: who removes it holds it and may wait for what LUO locks, which
 * calls us. For the same reason it protects what a user wishes, and the preserved file,
 * instead of the lock of the device set.
 */
static DEFINE_HASHTABLE(devices, 10);
static DEFINE_MUTEX(devices_lock);

/* How many of them are being removed. */
static unsigned int nr_leaving;

static struct vfio_pci_core_device *find(struct pci_dev *pdev)
{
	struct vfio_pci_core_device *vdev;

	lockdep_assert_held(&devices_lock);

	hash_for_each_possible(devices, vdev, liveupdate_node, (unsigned long)pdev) {
		if (vdev->pdev == pdev)
			return vdev;
	}

	return NULL;
}

/*
 * Who removes the device holds its lock, and waits for this to end. So must not this for
 * the lock.
 */
static void reset_for_user(struct work_struct *work)
{
	struct vfio_pci_core_device *vdev =
		container_of(work, struct vfio_pci_core_device, liveupdate_reset);

	/* It may be finished meanwhile, and would fall asleep. */
	pm_runtime_get_sync(&vdev->pdev->dev);
	pci_clear_master(vdev->pdev);
	/* It is tried again when it is opened if this takes too long. */
	vdev->liveupdate_reset_result = -EAGAIN;
	for (unsigned long end = jiffies + HZ; time_before(jiffies, end); fsleep(USEC_PER_MSEC)) {
		vdev->liveupdate_reset_result = pci_try_reset_function(vdev->pdev);
		if (vdev->liveupdate_reset_result != -EAGAIN || READ_ONCE(vdev->liveupdate_leaving))
			break;
	}
	pm_runtime_put(&vdev->pdev->dev);
}

static void begin_reset(struct vfio_pci_core_device *vdev)
{
	lockdep_assert_held(&devices_lock);

	/* Once: who has the device, or its file, has it reset when it is opened. */
	if (vdev->liveupdate_leaving || vdev->liveupdate_reset_begun ||
	    vdev->liveupdate_retrieved || READ_ONCE(vdev->vdev.open_count))
		return;

	vdev->liveupdate_reset_begun = true;
	vdev->liveupdate_reset_waits = true;
	queue_work(system_dfl_wq, &vdev->liveupdate_reset);
}

void vfio_pci_liveupdate_begin_reset(struct pci_dev *pdev)
{
	struct vfio_pci_core_device *vdev;

	guard(mutex)(&devices_lock);

	vdev = find(pdev);
	if (vdev)
		begin_reset(vdev);
}

void vfio_pci_liveupdate_add_device(struct vfio_pci_core_device *vdev)
{
	bool was_stopped = vfio_pci_liveupdate_was_handed_over_stopped(vdev->pdev);

	INIT_WORK(&vdev->liveupdate_reset, reset_for_user);

	guard(mutex)(&devices_lock);

	hash_add(devices, &vdev->liveupdate_node, (unsigned long)vdev->pdev);
	if (was_stopped)
		begin_reset(vdev);
}

/*
 * If a live update has given out its file, which nobody has bound, that is dead from now
 * on: the device can't be bound by it any more, and who gets another finds it stopped. So
 * it must be before anybody can tell that there is no such file any more.
 */
static void stop_unbound(struct vfio_pci_core_device *vdev)
{
	struct file *file = vdev->liveupdate_retrieved;
	struct pci_dev *pdev = vdev->pdev;
	const char *why = NULL;

	lockdep_assert_held(&devices_lock);

	if (!file)
		return;

	/* Who releases it waits for our lock. */
	vfio_device_from_bound_file(file, &why);
	if (!why)
		return;

	if (pci_liveupdate_is_incoming(pdev)) {
		pci_liveupdate_stop_locked(pdev);
		pci_liveupdate_set_user(pdev, PCI_LIVEUPDATE_CLOSED);
	}
	vdev->liveupdate_retrieved = NULL;
	liveupdate_forget_file(file);
}

/*
 * A device that is preserved is not unbound by anybody, but pulled out. Its file must not
 * keep it until the session is closed.
 */
void vfio_pci_liveupdate_begin_remove(struct vfio_pci_core_device *vdev)
{
	struct file *file;

	scoped_guard(mutex, &devices_lock) {
		vdev->liveupdate_leaving = true;
		nr_leaving++;
		file = vdev->liveupdate_file;
		vdev->liveupdate_file = NULL;
		if (file)
			get_file(file);
	}
	flush_work(&vdev->liveupdate_reset);
	scoped_guard(mutex, &devices_lock)
		stop_unbound(vdev);
	if (!file)
		return;

	liveupdate_forget_file(file);
	/* If nobody has it open, it is to be released now, and not when we have returned. */
	__fput_sync(file);
}

void vfio_pci_liveupdate_end_remove(struct vfio_pci_core_device *vdev)
{
	scoped_guard(mutex, &devices_lock) {
		hash_del(&vdev->liveupdate_node);
		nr_leaving--;
	}
	/* What is left of its file in a session can be dropped. */
	liveupdate_settle();
}

struct vfio_pci_core_device *vfio_pci_liveupdate_device_of(struct file *file)
{
	const char *why;
	struct vfio_device *device = vfio_device_from_bound_file(file, &why);

	/* Other drivers share all of vfio-pci but its operations. */
	if (!device || why || device->ops != &vfio_pci_ops)
		return NULL;

	return to_core(device);
}

struct pci_dev *vfio_pci_liveupdate_pdev(struct vfio_pci_core_device *vdev)
{
	return vdev->pdev;
}

/* Says why not, if the file is one of VFIO. */
bool vfio_pci_liveupdate_can_preserve(struct file *file)
{
	const char *why;
	struct vfio_device *device = vfio_device_from_bound_file(file, &why);
	struct pci_dev *pdev;

	if (!device)
		return false;

	if (device->ops != &vfio_pci_ops) {
		why = "its driver is not vfio-pci";
	} else if (!why) {
		pdev = to_core(device)->pdev;
		if (pdev->is_virtfn)
			why = "it is a virtual function";
		else if (pdev->vendor == PCI_VENDOR_ID_INTEL && pci_is_display(pdev))
			why = "it is graphics by Intel";
	}
	if (why)
		dev_warn_ratelimited(device->dev, "liveupdate: cannot be preserved: %s\n", why);

	return !why;
}

/*
 * Without an IOMMU, VFIO puts the device in a group all the same.
 */
static bool dma_needs_iommu(struct vfio_pci_core_device *vdev)
{
	return !vdev->vdev.noiommu && device_iommu_mapped(&vdev->pdev->dev);
}

/* Its file is ours, so that it stays bound to its user's iommufd. */
static int preserve_translation(struct vfio_pci_core_device *vdev)
{
	int ret = iommufd_device_preserve(vdev->vdev.iommufd_device);

	vdev->liveupdate_translated = !ret;

	return ret;
}

/*
 * The PCI core has preserved the device by way of this file. Tells whether its user wants it
 * not to be stopped, which can't be changed any more, and what was in there before.
 */
int vfio_pci_liveupdate_set_preserved(struct pci_dev *pdev, struct file *file, u32 *flags,
				      u32 *registers)
{
	struct vfio_pci_core_device *vdev;

	guard(mutex)(&devices_lock);

	vdev = find(pdev);
	if (!vdev || vdev->liveupdate_leaving)
		return -ENODEV;

	if (vdev->liveupdate_keep_running && dma_needs_iommu(vdev)) {
		int ret = preserve_translation(vdev);

		if (ret)
			return ret;
	}
	vdev->liveupdate_file = file;
	*flags = (vdev->liveupdate_keep_running ? VFIO_PCI_SER_RUNNING : 0) |
		 (vdev->liveupdate_translated ? VFIO_PCI_SER_TRANSLATED : 0);
	memcpy(registers, vdev->liveupdate_registers, sizeof(vdev->liveupdate_registers));

	return 0;
}

/* It does not any more. */
void vfio_pci_liveupdate_unset_preserved(struct pci_dev *pdev)
{
	struct vfio_pci_core_device *vdev;

	guard(mutex)(&devices_lock);

	vdev = find(pdev);
	/* As long as it has a file that is ours, its user's iommufd has it, too. */
	if (vdev && vdev->liveupdate_file && vdev->liveupdate_translated)
		iommufd_device_unpreserve(vdev->vdev.iommufd_device);
	if (vdev) {
		vdev->liveupdate_file = NULL;
		vdev->liveupdate_translated = false;
	}
}

/* Is all preserved that it can reach? */
int vfio_pci_liveupdate_check_translation(struct vfio_pci_core_device *vdev)
{
	/* Both are settled as long as its file is preserved. */
	return READ_ONCE(vdev->liveupdate_translated) ?
	       iommu_liveupdate_freeze(&vdev->pdev->dev) : 0;
}

/* Has its user a page table of his own for it? */
bool vfio_pci_liveupdate_is_attached(struct vfio_pci_core_device *vdev)
{
	if (!iommu_device_is_restored(&vdev->pdev->dev))
		return true;

	dev_warn_ratelimited(&vdev->pdev->dev, "liveupdate: cannot be finished: it is not attached to a page table of its new user yet\n");

	return false;
}

/* Is there nobody any more who has the preserved device open? */
bool vfio_pci_liveupdate_is_gone(struct pci_dev *pdev)
{
	guard(mutex)(&devices_lock);

	return !find(pdev);
}

static bool is_any_leaving(void)
{
	guard(mutex)(&devices_lock);

	return nr_leaving;
}

static struct vfio_pci_core_device *find_leaving(void)
{
	struct vfio_pci_core_device *vdev;
	int bucket;

	lockdep_assert_held(&devices_lock);

	hash_for_each(devices, bucket, vdev, liveupdate_node) {
		if (vdev->liveupdate_leaving)
			return vdev;
	}

	return NULL;
}

/*
 * Who removes a device holds its lock until its user lets go, and shutdown would wait for
 * that after the last moment at which the jump can be called off: so call it off now, be it
 * preserved or not. Where there is no user, it does not take long.
 */
int vfio_pci_liveupdate_refuse_removals(void)
{
	struct vfio_pci_core_device *vdev;
	bool leaving;

	read_poll_timeout(is_any_leaving, leaving, !leaving, 10 * USEC_PER_MSEC, USEC_PER_SEC,
			  false);

	guard(mutex)(&devices_lock);

	if (!nr_leaving)
		return 0;

	vdev = find_leaving();

	pci_err(vdev->pdev, "liveupdate: cannot replace the kernel: it is being removed, and its user has not closed it yet\n");

	return -EBUSY;
}

/* Bind us to an incoming device that is ours, unless somebody has decided otherwise. */
void vfio_pci_liveupdate_attach(struct pci_dev *pdev)
{
	struct device_driver *drv = &vfio_pci_driver.driver;
	struct device *dev = &pdev->dev;
	int err = 0;

	if (READ_ONCE(dev->driver) || !device_match_driver_override(dev, drv))
		return;

	if (!device_has_driver_override(dev))
		err = device_set_driver_override(dev, drv->name);
	if (!err)
		err = device_driver_attach(drv, dev);
	if (err)
		pci_warn(pdev, "liveupdate: cannot be bound to %s: %pe\n", drv->name,
			 ERR_PTR(err));
}

/* Nobody can have it back: it must not be running when what it may write to is freed. */
static void stop_nobodys(struct pci_dev *pdev, const char *why)
{
	if (pci_is_bridge(pdev) || pci_liveupdate_is_stopped(pdev))
		return;

	pci_warn(pdev, "liveupdate: %s, so it is stopped\n", why);
	pci_liveupdate_stop(pdev);
}

/*
 * The PCI core's records are not ours: one may be lost. Who has opened the device since has
 * had it reset, and what another driver has is its business.
 */
void vfio_pci_liveupdate_stop_stray(struct pci_dev *pdev)
{
	const struct device_driver *drv = READ_ONCE(pdev->dev.driver);
	struct vfio_pci_core_device *vdev;

	if (drv && drv != &vfio_pci_driver.driver)
		return;

	guard(mutex)(&devices_lock);

	vdev = find(pdev);
	if (!vdev || !READ_ONCE(vdev->vdev.open_count))
		stop_nobodys(pdev, "the PCI core does not know that it was handed over");
}

/*
 * One of our records can't be read, or leads to no device, so it is for one of those that
 * no record leads to. It has not been stopped since, so whatever driver it has may have
 * left it running.
 */
void vfio_pci_liveupdate_stop_unclaimed(void)
{
	struct pci_dev *pdev = NULL;

	for_each_pci_dev(pdev) {
		if (pci_liveupdate_is_incoming(pdev) && !vfio_pci_liveupdate_is_claimed(pdev))
			stop_nobodys(pdev, "no record says whose it is");
	}
}

/*
 * Only if the device came with a user's configuration is what was there before not what VFIO
 * has found, and restores, itself.
 */
static void restore_registers(struct vfio_pci_core_device *vdev)
{
	lockdep_assert_held(&devices_lock);

	if (!vdev->liveupdate_inherited)
		return;

	vdev->liveupdate_inherited = false;
	pm_runtime_get_sync(&vdev->pdev->dev);
	pci_clear_master(vdev->pdev);
	pci_liveupdate_restore_registers(vdev->pdev, vdev->liveupdate_registers);
	pm_runtime_put(&vdev->pdev->dev);
}

/*
 * What its last user wished is nothing to the next one. And it may have been stopped since
 * the file was made: then what a user left in its configuration goes before anybody takes
 * that for what was there before.
 */
void vfio_pci_liveupdate_open_device(struct vfio_pci_core_device *vdev)
{
	guard(mutex)(&devices_lock);

	vdev->liveupdate_keep_running = false;
	if (!pci_liveupdate_is_incoming(vdev->pdev))
		vdev->liveupdate_origin = VFIO_DEVICE_LIVEUPDATE_NEW;
	vdev->liveupdate_running = vdev->liveupdate_origin == VFIO_DEVICE_LIVEUPDATE_KEPT_RUNNING &&
				   !pci_liveupdate_is_stopped(vdev->pdev);
	if (!vdev->liveupdate_running)
		restore_registers(vdev);
}

void vfio_pci_liveupdate_was_opened(struct vfio_pci_core_device *vdev)
{
	guard(mutex)(&devices_lock);

	if (!vdev->liveupdate_running)
		pci_liveupdate_save_registers(vdev->pdev, vdev->liveupdate_registers);
}

/* Closing it, or failing to open it, takes bus mastering from it and resets it. */
void vfio_pci_liveupdate_was_stopped(struct vfio_pci_core_device *vdev)
{
	guard(mutex)(&devices_lock);

	if (vdev->liveupdate_origin == VFIO_DEVICE_LIVEUPDATE_KEPT_RUNNING)
		vdev->liveupdate_origin = VFIO_DEVICE_LIVEUPDATE_WAS_CLOSED;
	restore_registers(vdev);
}

/* Also when its file goes on, as when binding it has failed at last. */
void vfio_pci_liveupdate_close_device(struct vfio_device *device)
{
	vfio_pci_core_close_device(device);
	vfio_pci_liveupdate_was_stopped(to_core(device));
}

static void was_bound(struct vfio_device *device)
{
	pci_liveupdate_set_user(to_core(device)->pdev, PCI_LIVEUPDATE_TAKEN_OVER);
}

static void was_closed(struct vfio_device *device, struct file *file)
{
	struct vfio_pci_core_device *vdev = to_core(device);
	struct pci_dev *pdev = vdev->pdev;

	scoped_guard(mutex, &devices_lock) {
		/* It was dead already, and somebody else may have the device. */
		if (vdev->liveupdate_retrieved != file)
			return;
		vdev->liveupdate_retrieved = NULL;
	}
	if (!pci_liveupdate_is_incoming(pdev))
		return;

	pci_liveupdate_stop(pdev);
	/* It has no use for its old page table, which would keep memory. */
	iommu_device_drop_restored(&pdev->dev);
	pci_liveupdate_set_user(pdev, PCI_LIVEUPDATE_CLOSED);
	scoped_guard(mutex, &devices_lock)
		restore_registers(vdev);
}

static const struct vfio_retrieved_file_ops retrieved_file_ops = {
	.was_bound = was_bound,
	.was_closed = was_closed,
};

/* What has become of a device that was handed over running, or not. */
static u32 origin_of(struct vfio_pci_core_device *vdev, u32 flags)
{
	struct pci_dev *pdev = vdev->pdev;

	if (pci_liveupdate_is_stopped(pdev))
		return READ_ONCE(pdev->liveupdate_user) == PCI_LIVEUPDATE_CLOSED ?
		       VFIO_DEVICE_LIVEUPDATE_WAS_CLOSED : VFIO_DEVICE_LIVEUPDATE_WAS_REMOVED;
	if (!(flags & VFIO_PCI_SER_RUNNING))
		return VFIO_DEVICE_LIVEUPDATE_NOT_ASKED;
	if ((dma_needs_iommu(vdev) || flags & VFIO_PCI_SER_TRANSLATED) &&
	    !iommu_device_is_restored(&pdev->dev)) {
		pci_warn(pdev, "liveupdate: did not keep running, as its DMA needs the IOMMU now\n");
		return VFIO_DEVICE_LIVEUPDATE_NEEDS_IOMMU;
	}

	return VFIO_DEVICE_LIVEUPDATE_KEPT_RUNNING;
}

struct file *vfio_pci_liveupdate_open(struct pci_dev *pdev, u32 flags,
				      const u32 *registers)
{
	struct vfio_pci_core_device *vdev;
	struct file *file;

	guard(mutex)(&devices_lock);

	vdev = find(pdev);
	if (!vdev || vdev->liveupdate_leaving)
		return ERR_PTR(-ENODEV);

	file = vfio_device_create_file(&vdev->vdev, &retrieved_file_ops);
	if (IS_ERR(file))
		return file;

	vdev->liveupdate_retrieved = file;
	vdev->liveupdate_origin = origin_of(vdev, flags);
	vdev->liveupdate_inherited = true;
	memcpy(vdev->liveupdate_registers, registers, sizeof(vdev->liveupdate_registers));
	pci_liveupdate_set_user(pdev, PCI_LIVEUPDATE_RETRIEVED);

	return file;
}

static bool is_frozen(struct vfio_pci_core_device *vdev)
{
	guard(rwsem_read)(&vdev->memory_lock);

	return vfio_pci_core_is_frozen(vdev);
}

static void hand_over(struct vfio_pci_core_device *vdev)
{
	device_lock_assert(&vdev->pdev->dev);

	if (vdev->liveupdate_handed_over)
		return;

	vdev->liveupdate_handed_over = true;
	vfio_pci_core_hand_over(vdev, vdev->liveupdate_keep_running, vdev->liveupdate_registers);
}

static void hand_over_at_once(struct work_struct *work)
{
	struct vfio_pci_core_device *vdev =
		container_of(work, struct vfio_pci_core_device, liveupdate_jump);

	/* Its user may let it sleep, and it is not to fall asleep again. */
	pm_runtime_get_sync(&vdev->pdev->dev);

	guard(device)(&vdev->pdev->dev);
	hand_over(vdev);
}

/*
 * Resets take long, and shutdown is of one device after the other, while nobody serves the
 * virtual machines. So all are done before. Nothing can be called off any more, and nobody
 * removes or closes a device that is frozen.
 */
static int hand_over_all(struct notifier_block *nb, unsigned long action, void *data)
{
	struct workqueue_struct *workers;
	struct vfio_pci_core_device *vdev;
	int bucket;

	if (action != SYS_RESTART)
		return NOTIFY_DONE;

	/* Without memory for it, shutdown does it. */
	workers = alloc_workqueue("vfio-pci-liveupdate", WQ_UNBOUND, WQ_MAX_ACTIVE);
	if (!workers)
		return NOTIFY_DONE;

	scoped_guard(mutex, &devices_lock) {
		hash_for_each(devices, bucket, vdev, liveupdate_node) {
			/* It does not change any more, and others are not waited for. */
			if (!READ_ONCE(vdev->liveupdate_frozen))
				continue;
			INIT_WORK(&vdev->liveupdate_jump, hand_over_at_once);
			queue_work(workers, &vdev->liveupdate_jump);
		}
	}
	destroy_workqueue(workers);

	return NOTIFY_DONE;
}

static struct notifier_block reboot_notifier = {
	.notifier_call = hand_over_all,
};

void vfio_pci_liveupdate_begin(void)
{
	register_reboot_notifier(&reboot_notifier);
}

void vfio_pci_liveupdate_end(void)
{
	unregister_reboot_notifier(&reboot_notifier);
}

void vfio_pci_liveupdate_shutdown(struct pci_dev *pdev)
{
	struct vfio_pci_core_device *vdev = core_of(pdev);

	if (!vdev)
		return;

	if (is_frozen(vdev))
		hand_over(vdev);
	else if (pci_liveupdate_is_jumping())
		vfio_pci_core_shut_out(vdev, vdev->liveupdate_registers);
}

static int set_feature(struct vfio_pci_core_device *vdev, u32 flags)
{
	struct pci_dev *pdev = vdev->pdev;
	bool keep_running = flags & VFIO_DEVICE_LIVEUPDATE_RUNNING;

	if (flags & ~VFIO_DEVICE_LIVEUPDATE_RUNNING)
		return -EINVAL;

	guard(mutex)(&devices_lock);
	if (pci_liveupdate_outgoing(pdev))
		return -EBUSY;
	if (keep_running && !IS_ENABLED(CONFIG_IOMMU_LIVEUPDATE) && dma_needs_iommu(vdev)) {
		pci_info_ratelimited(pdev, "liveupdate: cannot keep running, as its DMA needs the IOMMU\n");
		return -EOPNOTSUPP;
	}
	WRITE_ONCE(vdev->liveupdate_keep_running, keep_running);

	return 0;
}

int vfio_pci_liveupdate_ioctl_feature(struct vfio_device *device, u32 flags,
				      void __user *arg, size_t argsz)
{
	struct vfio_pci_core_device *vdev = to_core(device);
	struct vfio_device_feature_liveupdate feature = {};
	int ret;

	if ((flags & VFIO_DEVICE_FEATURE_MASK) != VFIO_DEVICE_FEATURE_LIVEUPDATE)
		return vfio_pci_core_ioctl_feature(device, flags, arg, argsz);

	ret = vfio_check_feature(flags, argsz,
				 VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET,
				 sizeof(feature));
	if (ret != 1)
		return ret;

	if (flags & VFIO_DEVICE_FEATURE_SET) {
		if (copy_from_user(&feature, arg, sizeof(feature)))
			return -EFAULT;
		if (feature.origin)
			return -EINVAL;
		return set_feature(vdev, feature.flags);
	}

	scoped_guard(mutex, &devices_lock) {
		if (vdev->liveupdate_keep_running)
			feature.flags = VFIO_DEVICE_LIVEUPDATE_RUNNING;
		feature.origin = vdev->liveupdate_origin;
	}
	return copy_to_user(arg, &feature, sizeof(feature)) ? -EFAULT : 0;
}

MODULE_IMPORT_NS("IOMMUFD");
