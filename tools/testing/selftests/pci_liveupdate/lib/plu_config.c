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

static bool read_config(const char *bdf, unsigned int offset, unsigned int size, __u32 *value)
{
	int fd = open_config(bdf);
	ssize_t len;

	*value = 0;
	len = syscall(__NR_pread64, fd, value, size, offset);
	close(fd);

	return len == size;
}

__u32 plu_config_read(const char *bdf, unsigned int offset, unsigned int size)
{
	__u32 value;

	if (!read_config(bdf, offset, size, &value))
		plu_bail("%s: cannot read its config space at 0x%x", bdf, offset);

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

	/* Conventional devices have no such part of config space. */
	for (int n = 0; pos && n < 480 && read_config(bdf, pos, 4, &header); n++) {
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

struct plu_routing plu_read_routing(const char *bdf)
{
	unsigned int express = plu_capability(bdf, PCI_CAP_ID_EXP);
	unsigned int acs = plu_ext_capability(bdf, PCI_EXT_CAP_ID_ACS);
	struct plu_routing now = { .bus_master = plu_is_bus_master(bdf) };

	if (plu_is_bridge(bdf)) {
		now.numbers = plu_bus_numbers(bdf);
		if (express)
			now.ari = plu_config_read(bdf, express + PCI_EXP_DEVCTL2, 2) &
				  PCI_EXP_DEVCTL2_ARI;
	}
	if (acs)
		now.acs = plu_config_read(bdf, acs + PCI_ACS_CTRL, 2);

	return now;
}
