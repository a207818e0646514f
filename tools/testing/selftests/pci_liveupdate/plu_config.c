// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of PCI Live Update: the config space of devices and bridges.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include "plu.h"

static int open_config(const char *bdf)
{
	struct plu_device d = {};
	int fd;

	memcpy(d.bdf, bdf, PLU_BDF_SIZE);
	fd = open(plu_sysfs(&d, "config"), O_RDWR);
	if (fd < 0)
		plu_bail("%s: its config space: %s", bdf, strerror(errno));

	return fd;
}

__u32 plu_config_read(const char *bdf, unsigned int offset, unsigned int size)
{
	int fd = open_config(bdf);
	__u32 value = 0;

	if (syscall(__NR_pread64, fd, &value, size, offset) != (long)size)
		plu_bail("%s: cannot read its config space at 0x%x", bdf, offset);
	close(fd);

	return value;
}

void plu_config_write(const char *bdf, unsigned int offset, unsigned int size, __u32 value)
{
	int fd = open_config(bdf);

	if (syscall(__NR_pwrite64, fd, &value, size, offset) != (long)size)
		plu_bail("%s: cannot write its config space at 0x%x", bdf, offset);
	close(fd);
}

unsigned int plu_capability(const char *bdf, unsigned int id)
{
	unsigned int pos = plu_config_read(bdf, PCI_CAPABILITY_LIST, 1);

	/* A list has no more entries than fit. */
	for (int n = 0; pos && n < 48; n++) {
		if (plu_config_read(bdf, pos + PCI_CAP_LIST_ID, 1) == id)
			return pos;
		pos = plu_config_read(bdf, pos + PCI_CAP_LIST_NEXT, 1);
	}

	return 0;
}

unsigned int plu_ext_capability(const char *bdf, unsigned int id)
{
	unsigned int pos = PCI_CFG_SPACE_SIZE;
	__u32 header;

	/* A conventional device has no more config space than this. */
	if (!plu_capability(bdf, PCI_CAP_ID_EXP))
		return 0;

	for (int n = 0; pos && n < 480; n++) {
		header = plu_config_read(bdf, pos, 4);
		if (PCI_EXT_CAP_ID(header) == id)
			return pos;
		pos = PCI_EXT_CAP_NEXT(header);
	}

	return 0;
}

bool plu_is_bus_master(const char *bdf)
{
	return plu_config_read(bdf, PCI_COMMAND, 2) & PCI_COMMAND_MASTER;
}

void plu_set_bus_master(const char *bdf, bool on)
{
	__u32 command = plu_config_read(bdf, PCI_COMMAND, 2) & ~PCI_COMMAND_MASTER;

	plu_config_write(bdf, PCI_COMMAND, 2, command | (on ? PCI_COMMAND_MASTER : 0));
}

bool plu_is_bridge(const char *bdf)
{
	return (plu_config_read(bdf, PCI_HEADER_TYPE, 1) & PCI_HEADER_TYPE_MASK) ==
	       PCI_HEADER_TYPE_BRIDGE;
}

__u32 plu_bus_numbers(const char *bdf)
{
	return plu_config_read(bdf, PCI_PRIMARY_BUS, 4) & 0xffffff;
}
