// SPDX-License-Identifier: GPL-2.0
/*
 * Registers a handler of files, and forgets to unregister it.
 */

#include <linux/liveupdate.h>
#include <linux/module.h>

static bool can_preserve(struct liveupdate_file_handler *handler, struct file *file)
{
	return false;
}

static int preserve(struct liveupdate_file_op_args *args)
{
	return -EOPNOTSUPP;
}

static void unpreserve(struct liveupdate_file_op_args *args)
{
}

static const struct liveupdate_file_ops ops = {
	.can_preserve = can_preserve,
	.preserve = preserve,
	.unpreserve = unpreserve,
	.retrieve = preserve,
	.finish = unpreserve,
	.owner = THIS_MODULE,
};

static struct liveupdate_file_handler handler = {
	.ops = &ops,
	.compatible = "pci-liveupdate-forget-v1",
};

static int __init forget_init(void)
{
	return liveupdate_register_file_handler(&handler);
}
module_init(forget_init);

static void __exit forget_exit(void)
{
}
module_exit(forget_exit);

MODULE_DESCRIPTION("Test of the orchestrator with a handler that is never unregistered");
MODULE_LICENSE("GPL");
