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

int vfio_pci_core_freeze(struct vfio_pci_core_device *vdev)
{
	int ret;

	ret = vfio_device_freeze(&vdev->vdev);
	if (ret)
		return ret;

	/*
	 * From here on nothing waits for a user: only system calls hold memory_lock for long,
	 * and there are none. Who has the device's memory mapped as a DMA buffer has to let it
	 * go when told so, once its fences have passed, all of which do.
	 *
	 * A device that sleeps is not touched by any of this.
	 */
	vfio_pci_zap_and_down_write_memory_lock(vdev);
	vfio_pci_dma_buf_move(vdev, true);
	vdev->liveupdate_frozen = true;
	up_write(&vdev->memory_lock);

	return 0;
}
EXPORT_SYMBOL_GPL(vfio_pci_core_freeze);

void vfio_pci_core_unfreeze(struct vfio_pci_core_device *vdev)
{
	struct vfio_pci_ioeventfd *ioeventfd;

	scoped_guard(mutex, &vdev->ioeventfds_lock) {
		guard(rwsem_write)(&vdev->memory_lock);

		vdev->liveupdate_frozen = false;
		/* One that its user lets sleep has not given out its memory. */
		if (!vdev->pm_runtime_engaged && __vfio_pci_memory_enabled(vdev))
			vfio_pci_dma_buf_move(vdev, false);

		list_for_each_entry(ioeventfd, &vdev->ioeventfds_list, next) {
			if (ioeventfd->held_back)
				vfio_pci_ioeventfd_write(ioeventfd);
			ioeventfd->held_back = false;
		}
	}

	vfio_device_unfreeze(&vdev->vdev);
}
EXPORT_SYMBOL_GPL(vfio_pci_core_unfreeze);

/* Take bus mastering from it and reset it, if it can be reset. */
static void quiesce(struct vfio_pci_core_device *vdev, const u32 *registers)
{
	struct pci_dev *pdev = vdev->pdev;
	struct pci_dev *bridge = NULL;

	/* Only one that is alone is reset by way of the bridge. Others need not wait for it. */
	if (list_is_singular(&pdev->bus->devices))
		bridge = pci_upstream_bridge(pdev);

	pci_clear_master(pdev);
	if (bridge)
		pci_cfg_access_lock(bridge);
	pci_cfg_access_lock(pdev);
	/* As when it is closed: what was there before comes back. */
	if (!vdev->pci_saved_state || pci_load_saved_state(pdev, vdev->pci_saved_state))
		pci_save_state(pdev);
	pci_write_config_word(pdev, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE);
	if (!vdev->reset_works)
		pci_info(pdev, "liveupdate: has no reset of its own, is handed over without one\n");
	else if (__pci_reset_function_locked(pdev))
		pci_warn(pdev, "liveupdate: cannot be reset, is handed over without one\n");
	pci_restore_state(pdev);
	pci_liveupdate_restore_registers(pdev, registers);
	/* Nobody listens until its user has it back. */
	pci_intx(pdev, 0);
	pci_cfg_access_unlock(pdev);
	if (bridge)
		pci_cfg_access_unlock(bridge);
}

void vfio_pci_core_hand_over(struct vfio_pci_core_device *vdev, bool keep_running,
			     const u32 *registers)
{
	struct pci_dev *pdev = vdev->pdev;

	/* Who would have removed it does not do that any more. */
	if (!pci_device_is_present(pdev))
		return;

	/* Where VFIO lets it sleep, the PCI core has woken it; but not where its user did. */
	scoped_guard(rwsem_write, &vdev->memory_lock)
		vfio_pci_set_power_state(vdev, PCI_D0);

	/* As when it is closed. Nothing that a user signals can switch any on after that. */
	scoped_guard(mutex, &vdev->igate)
		vfio_pci_set_irqs_ioctl(vdev, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER,
					vdev->irq_type, 0, 0, NULL);
	/* Nobody listens until its user has it back. */
	pci_intx(pdev, 0);

	if (pdev->current_state != PCI_D0) {
		pci_err(pdev, "liveupdate: cannot be woken, is handed over stopped, without a reset\n");
		pci_clear_master(pdev);
	} else if (!keep_running) {
		quiesce(vdev, registers);
	}
}
EXPORT_SYMBOL_GPL(vfio_pci_core_hand_over);

void vfio_pci_core_shut_out(struct vfio_pci_core_device *vdev, const u32 *registers)
{
	struct pci_dev *pdev = vdev->pdev;

	if (!READ_ONCE(vdev->vdev.open_count) || !pci_device_is_present(pdev))
		return;

	/* Who is in a system call, or handles an interrupt, writes back what he has read. */
	guard(mutex)(&vdev->igate);
	vfio_pci_set_irqs_ioctl(vdev, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER,
				vdev->irq_type, 0, 0, NULL);

	vfio_pci_zap_and_down_write_memory_lock(vdev);
	vdev->liveupdate_frozen = true;
	vdev->liveupdate_shut_out = true;
	pci_clear_master(pdev);
	pci_liveupdate_restore_registers(pdev, registers);
	up_write(&vdev->memory_lock);
}
EXPORT_SYMBOL_GPL(vfio_pci_core_shut_out);

int vfio_pci_core_reset(struct vfio_pci_core_device *vdev)
{
	if (!vdev->liveupdate_reset_waits)
		return pci_try_reset_function(vdev->pdev);

	flush_work(&vdev->liveupdate_reset);
	vdev->liveupdate_reset_waits = false;
	/* Who had its lock has it no more. */
	if (vdev->liveupdate_reset_result == -EAGAIN)
		return pci_try_reset_function(vdev->pdev);

	return vdev->liveupdate_reset_result;
}

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
