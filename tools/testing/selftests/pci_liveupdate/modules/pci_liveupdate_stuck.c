// SPDX-License-Identifier: GPL-2.0
/*
 * A file of a page that can be written to by write(2), mapped, and read. Who writes to
 * what is mapped waits until he is killed, and so does who reads what comes after it.
 */

#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

static int stuck_open(struct inode *inode, struct file *file)
{
	file->private_data = (void *)get_zeroed_page(GFP_KERNEL);

	return file->private_data ? 0 : -ENOMEM;
}

static int stuck_release(struct inode *inode, struct file *file)
{
	free_page((unsigned long)file->private_data);

	return 0;
}

static ssize_t stuck_write(struct file *file, const char __user *from, size_t size, loff_t *pos)
{
	if (size > PAGE_SIZE || copy_from_user(file->private_data, from, size))
		return -EFAULT;

	return size;
}

static vm_fault_t wait(void)
{
	DECLARE_WAIT_QUEUE_HEAD_ONSTACK(never);

	wait_event_killable(never, false);

	return VM_FAULT_SIGBUS;
}

static vm_fault_t stuck_fault(struct vm_fault *vmf)
{
	if (vmf->pgoff)
		return wait();

	vmf->page = virt_to_page(vmf->vma->vm_file->private_data);
	get_page(vmf->page);

	return 0;
}

static vm_fault_t stuck_mkwrite(struct vm_fault *vmf)
{
	return wait();
}

static const struct vm_operations_struct vm_ops = {
	.fault = stuck_fault,
	.page_mkwrite = stuck_mkwrite,
};

static int stuck_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_ops = &vm_ops;

	return 0;
}

static const struct file_operations fops = {
	.owner = THIS_MODULE,
	.open = stuck_open,
	.release = stuck_release,
	.write = stuck_write,
	.mmap = stuck_mmap,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "pci_liveupdate_stuck",
	.fops = &fops,
};
module_misc_device(device);

MODULE_DESCRIPTION("Test of live update with memory that cannot be written to");
MODULE_LICENSE("GPL");
