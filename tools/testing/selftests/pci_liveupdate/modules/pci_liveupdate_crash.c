// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel crashes when this is loaded.
 */

#include <linux/module.h>
#include <linux/panic.h>

static int __init crash_init(void)
{
	panic("crash on purpose");
}
module_init(crash_init);

MODULE_DESCRIPTION("Test of PCI Live Update that crashes");
MODULE_LICENSE("GPL");
