// SPDX-License-Identifier: GPL-2.0
/*
 * Live update of vfio-pci's devices: what only C can say of them. device.rs makes it
 * fit for use in Rust.
 */

#include <linux/device.h>
#include <linux/pci.h>
#include <linux/pci_liveupdate.h>
#include <linux/pm_runtime.h>
#include <linux/uaccess.h>
#include <linux/vfio_liveupdate.h>

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

struct vfio_pci_core_device *vfio_pci_liveupdate_device_of(struct file *file)
{
	struct vfio_device *device = vfio_device_from_bound_file(file);

	/* Other drivers share all of vfio-pci but its operations. */
	if (!device || device->ops != &vfio_pci_ops)
		return NULL;

	return to_core(device);
}

struct pci_dev *vfio_pci_liveupdate_pdev(struct vfio_pci_core_device *vdev)
{
	return vdev->pdev;
}

bool vfio_pci_liveupdate_can_preserve(struct vfio_pci_core_device *vdev)
{
	struct pci_dev *pdev = vdev->pdev;

	return !pdev->is_virtfn &&
	       !(pdev->vendor == PCI_VENDOR_ID_INTEL && pci_is_display(pdev));
}

bool vfio_pci_liveupdate_keeps_running(struct vfio_pci_core_device *vdev)
{
	guard(mutex)(&vdev->vdev.dev_set->lock);

	return vdev->liveupdate_keep_running;
}

static void let_sleep(void *dev)
{
	pm_runtime_put(dev);
}

/* Nobody uses an incoming device yet, but it may be at work: it does not sleep. */
int vfio_pci_liveupdate_init_dev(struct vfio_pci_core_device *vdev)
{
	struct device *dev = &vdev->pdev->dev;

	if (!pci_liveupdate_is_incoming(vdev->pdev))
		return 0;

	vdev->liveupdate_awake = true;
	pm_runtime_get_noresume(dev);

	return devm_add_action_or_reset(dev, let_sleep, dev);
}

/* What its last user wished is nothing to the next one. */
void vfio_pci_liveupdate_open_device(struct vfio_pci_core_device *vdev)
{
	lockdep_assert_held(&vdev->vdev.dev_set->lock);

	vdev->liveupdate_keep_running = false;
}

/*
 * The next kernel starts without the IOMMU's tables, and a file that is bound to an iommufd
 * has tables of its own, also where the kernel's drivers have none.
 */
static bool dma_needs_iommu(struct vfio_pci_core_device *vdev)
{
	/* Without an IOMMU, VFIO puts the device in a group all the same. */
	return !vdev->vdev.noiommu && device_iommu_mapped(&vdev->pdev->dev);
}

struct file *vfio_pci_liveupdate_open(struct pci_dev *pdev, bool running)
{
	struct vfio_pci_core_device *vdev;
	struct file *file;

	guard(device)(&pdev->dev);

	vdev = core_of(pdev);
	if (!vdev)
		return ERR_PTR(-ENODEV);

	file = vfio_device_create_file(&vdev->vdev);
	if (IS_ERR(file))
		return file;

	if (running && dma_needs_iommu(vdev)) {
		pci_warn(pdev, "liveupdate: did not keep running, as its DMA needs the IOMMU now\n");
		running = false;
	}

	guard(mutex)(&vdev->vdev.dev_set->lock);
	vdev->liveupdate_running = running;

	return file;
}

void vfio_pci_liveupdate_finished(struct vfio_pci_core_device *vdev)
{
	struct device *dev = &vdev->pdev->dev;

	guard(mutex)(&vdev->vdev.dev_set->lock);

	vdev->liveupdate_running = false;
	/* As it is open, the driver stays, and the device sleeps only when it is closed. */
	if (vdev->liveupdate_awake)
		devm_release_action(dev, let_sleep, dev);
	vdev->liveupdate_awake = false;
}

static bool is_frozen(struct vfio_pci_core_device *vdev)
{
	guard(rwsem_read)(&vdev->memory_lock);

	return vfio_pci_core_is_frozen(vdev);
}

void vfio_pci_liveupdate_shutdown(struct pci_dev *pdev)
{
	struct vfio_pci_core_device *vdev = core_of(pdev);

	if (!vdev || !is_frozen(vdev))
		return;

	/* Nobody listens to its interrupts until its user has it back. */
	pci_intx(pdev, 0);
	/* Settled when it was preserved; its user could be holding the lock. */
	if (!READ_ONCE(vdev->liveupdate_keep_running))
		vfio_pci_core_quiesce(vdev);
}

static int set_feature(struct vfio_pci_core_device *vdev, u32 flags)
{
	struct pci_dev *pdev = vdev->pdev;
	bool keep_running = flags & VFIO_DEVICE_LIVEUPDATE_RUNNING;

	if (flags & ~VFIO_DEVICE_LIVEUPDATE_RUNNING)
		return -EINVAL;

	guard(mutex)(&vdev->vdev.dev_set->lock);
	if (pci_liveupdate_outgoing(pdev))
		return -EBUSY;
	if (keep_running && dma_needs_iommu(vdev)) {
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
		return set_feature(vdev, feature.flags);
	}

	if (vfio_pci_liveupdate_keeps_running(vdev))
		feature.flags = VFIO_DEVICE_LIVEUPDATE_RUNNING;
	return copy_to_user(arg, &feature, sizeof(feature)) ? -EFAULT : 0;
}
