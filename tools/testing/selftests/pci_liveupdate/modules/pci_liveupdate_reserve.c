// SPDX-License-Identifier: GPL-2.0
/*
 * Finds the memory that reserve_mem= of the kernel's command line has reserved and
 * preserved; and in the next kernel restores it, in one piece:
 *
 *	insmod pci_liveupdate_reserve.ko name=plu
 *	insmod pci_liveupdate_reserve.ko address=0x12800000 bytes=0x800000
 */

#include <linux/io.h>
#include <linux/kexec_handover.h>
#include <linux/mm.h>
#include <linux/module.h>

static char *name;
module_param(name, charp, 0444);
MODULE_PARM_DESC(name, "what it is called on the command line");

static ulong address;
module_param(address, ulong, 0444);
MODULE_PARM_DESC(address, "where it is, physically");

static ulong bytes;
module_param(bytes, ulong, 0444);
MODULE_PARM_DESC(bytes, "how large it is");

static int __init reserve_init(void)
{
	phys_addr_t start, size;

	if (!name)
		return kho_restore_pages(address, bytes / PAGE_SIZE) ? 0 : -ENOENT;

	if (!reserve_mem_find_by_name(name, &start, &size))
		return -ENOENT;
	address = start;
	bytes = size;
	/* Each page is to be known by its number. */
	for (ulong page = 0; page < bytes / PAGE_SIZE; page++)
		*(ulong *)phys_to_virt(address + page * PAGE_SIZE) = page;

	return 0;
}
module_init(reserve_init);

static void __exit reserve_exit(void)
{
}
module_exit(reserve_exit);

MODULE_DESCRIPTION("Test of memory that is preserved in large pieces");
MODULE_LICENSE("GPL");
