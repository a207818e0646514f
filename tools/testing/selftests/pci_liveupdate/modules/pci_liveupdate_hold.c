// SPDX-License-Identifier: GPL-2.0
/*
 * Holds up the jump into the next kernel when it can't be called off any more, and what is
 * handed over has been written. Processes run on, so that one can look at that:
 *
 *	insmod pci_liveupdate_hold.ko
 *	cat /sys/module/pci_liveupdate_hold/parameters/held	(1: the jump is held up)
 *	echo 1 >/sys/module/pci_liveupdate_hold/parameters/passed
 */

#include <linux/iopoll.h>
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/reboot.h>

#define DEADLINE	(60 * USEC_PER_SEC)

static int held;
module_param(held, int, 0444);
MODULE_PARM_DESC(held, "whether the jump is held up");

static int passed;
module_param(passed, int, 0644);
MODULE_PARM_DESC(passed, "whether it has been for long enough");

static int hold_up(struct notifier_block *nb, unsigned long action, void *data)
{
	int is_passed;

	/* A machine that is switched off hands nothing over. */
	if (action != SYS_RESTART)
		return NOTIFY_DONE;

	WRITE_ONCE(held, 1);
	read_poll_timeout(READ_ONCE, is_passed, is_passed, 20 * USEC_PER_MSEC, DEADLINE, false,
			  passed);
	/* The jump can't be refused any more. This is for who judges the test by the log. */
	if (!is_passed)
		pr_err("Bail out! nobody lets the jump go on that is held up\n");

	return NOTIFY_DONE;
}

static struct notifier_block notifier = { .notifier_call = hold_up };

static int __init hold_init(void)
{
	return register_reboot_notifier(&notifier);
}
module_init(hold_init);

static void __exit hold_exit(void)
{
	unregister_reboot_notifier(&notifier);
}
module_exit(hold_exit);

MODULE_DESCRIPTION("Test of PCI Live Update that looks at what is handed over");
MODULE_LICENSE("GPL");
