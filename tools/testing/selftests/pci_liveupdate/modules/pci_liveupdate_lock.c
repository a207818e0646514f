// SPDX-License-Identifier: GPL-2.0
/*
 * Holds the lock of a device while this is loaded, as who binds a driver to it does; or
 * holds up who accesses its config space for a user, as who resets it does:
 *
 *	insmod pci_liveupdate_lock.ko device=0000:04:00.0 [config=1]
 */

#include <linux/completion.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/pci.h>

#include "address.h"

static char *device;
module_param(device, charp, 0444);
MODULE_PARM_DESC(device, "address of the device");

static bool config;
module_param(config, bool, 0444);
MODULE_PARM_DESC(config, "hold up accesses to config space instead");

static struct task_struct *holder;
static DECLARE_COMPLETION(locked);
static DECLARE_COMPLETION(unlock);

/* Who takes a lock has to give it back, which insmod and rmmod cannot between them. */
static int hold(void *arg)
{
	struct pci_dev *pdev = arg;

	if (config)
		pci_cfg_access_lock(pdev);
	else
		device_lock(&pdev->dev);
	complete(&locked);
	wait_for_completion(&unlock);
	if (config)
		pci_cfg_access_unlock(pdev);
	else
		device_unlock(&pdev->dev);
	pci_dev_put(pdev);

	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);

	return 0;
}

static int __init lock_init(void)
{
	struct pci_dev *pdev = find_device(device);

	if (IS_ERR(pdev))
		return PTR_ERR(pdev);

	holder = kthread_run(hold, pdev, "pci_liveupdate_lock");
	if (IS_ERR(holder)) {
		pci_dev_put(pdev);
		return PTR_ERR(holder);
	}
	wait_for_completion(&locked);

	return 0;
}
module_init(lock_init);

static void __exit lock_exit(void)
{
	complete(&unlock);
	kthread_stop(holder);
}
module_exit(lock_exit);

MODULE_DESCRIPTION("Test of PCI Live Update with a device that is locked");
MODULE_LICENSE("GPL");
