// SPDX-License-Identifier: GPL-2.0
/*
 * How a PCI driver in C lets its device work on through a live update.
 *
 * The device is QEMU's edu, and there is one, /dev/pci_liveupdate_example: a number
 * that is written to it comes back inverted. A file of it can be preserved in a live
 * update session. Most of what a driver does for that is in the five functions of
 * example_file_ops.
 *
 * The test `example` loads this module.
 */

#include <linux/anon_inodes.h>
#include <linux/cleanup.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/io.h>
#include <linux/liveupdate.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/pci_liveupdate.h>
#include <linux/uaccess.h>

#define EDU_LIVENESS	0x04

/* The device, while it has this driver. */
static struct pci_dev *example_pdev;
static void __iomem *example_regs;
static DEFINE_MUTEX(example_lock);

/* --- A file of the device -------------------------------------------------- */

static ssize_t example_read(struct file *file, char __user *buf, size_t count,
			    loff_t *pos)
{
	u32 number;

	if (count != sizeof(number))
		return -EINVAL;

	scoped_guard(mutex, &example_lock) {
		if (!example_pdev)
			return -ENODEV;
		number = readl(example_regs + EDU_LIVENESS);
	}

	return copy_to_user(buf, &number, sizeof(number)) ? -EFAULT : count;
}

static ssize_t example_write(struct file *file, const char __user *buf, size_t count,
			     loff_t *pos)
{
	u32 number;

	if (count != sizeof(number))
		return -EINVAL;
	if (copy_from_user(&number, buf, sizeof(number)))
		return -EFAULT;

	scoped_guard(mutex, &example_lock) {
		if (!example_pdev)
			return -ENODEV;
		writel(number, example_regs + EDU_LIVENESS);
	}

	return count;
}

static const struct file_operations example_fops = {
	.owner = THIS_MODULE,
	.read = example_read,
	.write = example_write,
};

static struct miscdevice example_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "pci_liveupdate_example",
	.fops = &example_fops,
};

/* --- Live update ----------------------------------------------------------- */

static bool example_can_preserve(struct liveupdate_file_handler *handler,
				 struct file *file)
{
	return file->f_op == &example_fops;
}

/* What the next kernel's driver needs to know: here, which device it is. */
static u64 example_state(struct pci_dev *pdev)
{
	return (u64)pci_domain_nr(pdev->bus) << 16 | pci_dev_id(pdev);
}

static int example_preserve(struct liveupdate_file_op_args *args)
{
	int err;

	guard(mutex)(&example_lock);
	if (!example_pdev)
		return -ENODEV;

	err = pci_liveupdate_preserve(example_pdev);
	if (err)
		return err;

	args->serialized_data = example_state(example_pdev);
	/* Userspace cannot remove it now, but somebody may pull it out. */
	args->private_data = pci_dev_get(example_pdev);

	return 0;
}

static void example_unpreserve(struct liveupdate_file_op_args *args)
{
	struct pci_dev *pdev = args->private_data;

	pci_liveupdate_unpreserve(pdev);
	pci_dev_put(pdev);
}

static int example_retrieve(struct liveupdate_file_op_args *args)
{
	struct file *file;

	guard(mutex)(&example_lock);
	if (!example_pdev || example_state(example_pdev) != args->serialized_data)
		return -ENODEV;

	file = anon_inode_getfile("[pci_liveupdate_example]", &example_fops, NULL,
				  O_RDWR);
	if (IS_ERR(file))
		return PTR_ERR(file);

	args->file = file;

	return 0;
}

static void example_finish(struct liveupdate_file_op_args *args)
{
	guard(mutex)(&example_lock);
	if (example_pdev && example_state(example_pdev) == args->serialized_data)
		pci_liveupdate_finish(example_pdev);
}

static const struct liveupdate_file_ops example_file_ops = {
	.can_preserve = example_can_preserve,
	.preserve = example_preserve,
	.unpreserve = example_unpreserve,
	.retrieve = example_retrieve,
	.finish = example_finish,
	.owner = THIS_MODULE,
};

static struct liveupdate_file_handler example_handler = {
	.ops = &example_file_ops,
	.compatible = "pci-liveupdate-example-v1",
};

/* Without live update, the driver drives its device like any other. */
static bool example_registered;

static int example_register(void)
{
	int err;

	err = liveupdate_register_file_handler(&example_handler);
	if (err)
		return err == -EOPNOTSUPP ? 0 : err;

	err = pci_liveupdate_register_flb(&example_handler);
	if (err) {
		liveupdate_unregister_file_handler(&example_handler);
		return err == -EOPNOTSUPP ? 0 : err;
	}

	example_registered = true;

	return 0;
}

static void example_unregister(void)
{
	/* This unregisters the PCI core's data as well. */
	if (example_registered)
		liveupdate_unregister_file_handler(&example_handler);
}

/* --- The device ------------------------------------------------------------ */

static int example_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	void __iomem *regs;
	int err;

	/* This changes nothing for a device that works already. */
	err = pcim_enable_device(pdev);
	if (err)
		return err;
	regs = pcim_iomap_region(pdev, 0, "pci_liveupdate_example");
	if (IS_ERR(regs))
		return PTR_ERR(regs);

	/* A driver that resets its device does not do so with this one. */
	if (pci_liveupdate_is_incoming(pdev))
		pci_info(pdev, "goes on working\n");

	guard(mutex)(&example_lock);
	if (example_pdev)
		return -EBUSY;
	example_pdev = pdev;
	example_regs = regs;

	return 0;
}

static void example_remove(struct pci_dev *pdev)
{
	guard(mutex)(&example_lock);
	example_pdev = NULL;
}

static const struct pci_device_id example_ids[] = {
	{ PCI_DEVICE(0x1234, 0x11e8) },
	{}
};
MODULE_DEVICE_TABLE(pci, example_ids);

static struct pci_driver example_driver = {
	.name = "pci_liveupdate_example",
	.id_table = example_ids,
	.probe = example_probe,
	.remove = example_remove,
	.liveupdate = true,
};

static int __init example_init(void)
{
	int err;

	err = pci_register_driver(&example_driver);
	if (err)
		return err;

	err = misc_register(&example_misc);
	if (err)
		goto err_driver;

	/* Last: from now on files are preserved and retrieved. */
	err = example_register();
	if (err)
		goto err_misc;

	return 0;

err_misc:
	misc_deregister(&example_misc);
err_driver:
	pci_unregister_driver(&example_driver);
	return err;
}
module_init(example_init);

static void __exit example_exit(void)
{
	example_unregister();
	misc_deregister(&example_misc);
	pci_unregister_driver(&example_driver);
}
module_exit(example_exit);

MODULE_DESCRIPTION("Example of a PCI driver with live update");
MODULE_LICENSE("GPL");
