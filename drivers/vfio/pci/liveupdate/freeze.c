// SPDX-License-Identifier: GPL-2.0
/*
 * Live update of VFIO devices: the state of a PCI device when the kernel is replaced.
 * freeze.h documents the functions.
 */

#include <linux/export.h>
#include <linux/pci.h>
#include <linux/pci_liveupdate.h>
#include <linux/vfio_liveupdate.h>

#include "../vfio_pci_priv.h"
#include "freeze.h"

/* What keeps @vdev from being handed over as it is, for the log; NULL if nothing does. */
static const char *what_is_in_use(struct vfio_pci_core_device *vdev)
{
	scoped_guard(mutex, &vdev->igate) {
		if (vdev->irq_type != VFIO_PCI_NUM_IRQS)
			return "interrupts are enabled";
	}

	scoped_guard(mutex, &vdev->ioeventfds_lock) {
		if (vdev->ioeventfds_nr)
			return "it has ioeventfds";
	}

	/* They would be reset with it. */
	if (pci_num_vf(vdev->pdev))
		return "it has virtual functions";

	scoped_guard(rwsem_read, &vdev->memory_lock) {
		if (vdev->pm_runtime_engaged || vdev->pdev->current_state != PCI_D0)
			return "it is in a state of low power";
	}

	return NULL;
}

static int refuse(struct vfio_pci_core_device *vdev, const char *use)
{
	pci_err(vdev->pdev,
		"liveupdate: cannot be handed over while %s: its user must end that first\n", use);

	return -EBUSY;
}

int vfio_pci_core_freeze(struct vfio_pci_core_device *vdev)
{
	const char *use;

	/* First, so that what is found afterwards does not change. */
	if (vfio_device_freeze(&vdev->vdev))
		return refuse(vdev, "a system call on it goes on and on");

	use = what_is_in_use(vdev);
	if (use) {
		vfio_device_unfreeze(&vdev->vdev);
		return refuse(vdev, use);
	}

	vfio_pci_zap_and_down_write_memory_lock(vdev);
	vfio_pci_dma_buf_move(vdev, true);
	vdev->liveupdate_frozen = true;
	up_write(&vdev->memory_lock);

	return 0;
}
EXPORT_SYMBOL_GPL(vfio_pci_core_freeze);

void vfio_pci_core_unfreeze(struct vfio_pci_core_device *vdev)
{
	down_write(&vdev->memory_lock);
	vdev->liveupdate_frozen = false;
	if (__vfio_pci_memory_enabled(vdev))
		vfio_pci_dma_buf_move(vdev, false);
	up_write(&vdev->memory_lock);

	vfio_device_unfreeze(&vdev->vdev);
}
EXPORT_SYMBOL_GPL(vfio_pci_core_unfreeze);

void vfio_pci_core_quiesce(struct vfio_pci_core_device *vdev)
{
	struct pci_dev *pdev = vdev->pdev;
	struct pci_dev *bridge = pci_upstream_bridge(pdev);

	pci_clear_master(pdev);
	if (!vdev->reset_works) {
		pci_info(pdev, "liveupdate: has no reset of its own, is handed over without one\n");
		return;
	}

	if (bridge)
		pci_cfg_access_lock(bridge);
	pci_cfg_access_lock(pdev);
	pci_save_state(pdev);
	pci_write_config_word(pdev, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE);
	if (__pci_reset_function_locked(pdev))
		pci_warn(pdev, "liveupdate: cannot be reset, is handed over without one\n");
	pci_restore_state(pdev);
	pci_cfg_access_unlock(pdev);
	if (bridge)
		pci_cfg_access_unlock(bridge);
}
EXPORT_SYMBOL_GPL(vfio_pci_core_quiesce);

bool vfio_pci_core_keeps_reset_off(struct vfio_device_set *dev_set)
{
	struct vfio_device *cur;

	lockdep_assert_held(&dev_set->lock);

	list_for_each_entry(cur, &dev_set->device_list, dev_set_list)
		if (vfio_device_is_incoming(cur) ||
		    pci_liveupdate_outgoing(to_pci_dev(cur->dev)))
			return true;

	return false;
}
