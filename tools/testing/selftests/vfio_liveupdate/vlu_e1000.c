// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of live update with vfio-pci: whether a device was reset. QEMU's e1000 has a table
 * of multicast addresses, which is all zero then.
 */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/io.h>

#include "vlu.h"

#define E1000_MTA	0x5200
#define E1000_SIZE	0x20000

/* Write an entry if there is one, and return what there is. */
static __u32 access_table(const struct plu_device *d, const __u32 *entry)
{
	int fd = open(plu_sysfs(d, "resource0"), O_RDWR);
	void *registers = mmap(NULL, E1000_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	__u32 command = plu_config_read(d->bdf, PCI_COMMAND, 2);
	__u32 is;

	if (registers == MAP_FAILED)
		plu_bail("%s: cannot map its registers: %s", d->bdf, strerror(errno));
	close(fd);
	plu_config_write(d->bdf, PCI_COMMAND, 2, command | PCI_COMMAND_MEMORY);
	if (entry)
		writel(*entry, registers + E1000_MTA);
	is = readl(registers + E1000_MTA);
	plu_config_write(d->bdf, PCI_COMMAND, 2, command);
	munmap(registers, E1000_SIZE);

	return is;
}

void vlu_e1000_write(const struct plu_device *d, __u32 entry)
{
	access_table(d, &entry);
}

__u32 vlu_e1000_read(const struct plu_device *d)
{
	return access_table(d, NULL);
}
