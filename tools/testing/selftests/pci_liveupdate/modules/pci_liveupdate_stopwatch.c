// SPDX-License-Identifier: GPL-2.0
/*
 * Times a jump, in a page that the next kernel is handed:
 *
 *	insmod pci_liveupdate_stopwatch.ko address=0x12345000
 *	echo 1 >/sys/module/pci_liveupdate_stopwatch/parameters/started
 *
 * There is the processor's clock then when that was written, when the jump could no longer
 * be called off, and when all devices were shut down.
 */

#include <linux/io.h>
#include <linux/limits.h>
#include <linux/module.h>
#include <linux/reboot.h>
#include <linux/syscore_ops.h>

#include <asm/msr.h>

enum { STARTED, BOUND_TO_HAPPEN, SHUT_DOWN };

static ulong address;
module_param(address, ulong, 0444);
MODULE_PARM_DESC(address, "physical address of the page");

static void note(unsigned int what)
{
	u64 *page = phys_to_virt(address);

	page[what] = rdtsc_ordered();
}

static int set_started(const char *value, const struct kernel_param *kp)
{
	note(STARTED);

	return 0;
}

static const struct kernel_param_ops started_ops = { .set = set_started };
module_param_cb(started, &started_ops, NULL, 0200);
MODULE_PARM_DESC(started, "the jump is asked for now");

static int note_reboot(struct notifier_block *nb, unsigned long action, void *data)
{
	note(BOUND_TO_HAPPEN);

	return NOTIFY_DONE;
}

/* Before anybody else's */
static struct notifier_block notifier = {
	.notifier_call = note_reboot,
	.priority = INT_MAX,
};

static void note_shutdown(void *data)
{
	note(SHUT_DOWN);
}

static const struct syscore_ops ops = { .shutdown = note_shutdown };
static struct syscore syscore = { .ops = &ops };

static int __init stopwatch_init(void)
{
	register_syscore(&syscore);

	return register_reboot_notifier(&notifier);
}
module_init(stopwatch_init);

static void __exit stopwatch_exit(void)
{
	unregister_reboot_notifier(&notifier);
	unregister_syscore(&syscore);
}
module_exit(stopwatch_exit);

MODULE_DESCRIPTION("Test of PCI Live Update that takes the time");
MODULE_LICENSE("GPL");
