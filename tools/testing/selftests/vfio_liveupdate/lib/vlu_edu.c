// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of live update with vfio-pci: DMA with QEMU's edu.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/io.h>

#include "vlu.h"

static void write_register(struct vfio_pci_device *v, unsigned int reg, __u32 value)
{
	writel(value, v->bars[0].vaddr + reg);
}

static __u32 read_register(struct vfio_pci_device *v, unsigned int reg)
{
	return readl(v->bars[0].vaddr + reg);
}

static bool is_done(void *v)
{
	return !(read_register(v, EDU_COMMAND) & EDU_START);
}

static void prepare(struct vfio_pci_device *v, iova_t from, iova_t to)
{
	vfio_pci_cmd_set(v, PCI_COMMAND_MASTER);
	write_register(v, EDU_SOURCE, from);
	write_register(v, EDU_DESTINATION, to);
	write_register(v, EDU_COUNT, EDU_LENGTH);
}

bool vlu_edu_load(struct vfio_pci_device *v, iova_t from)
{
	prepare(v, from, EDU_BUFFER);
	write_register(v, EDU_COMMAND, EDU_START);

	return plu_wait_for(is_done, v);
}

bool vlu_edu_store(struct vfio_pci_device *v, iova_t to)
{
	prepare(v, EDU_BUFFER, to);
	write_register(v, EDU_COMMAND, EDU_START | EDU_TO_MEMORY);

	return plu_wait_for(is_done, v);
}

void vlu_edu_prepare_store(struct vfio_pci_device *v, iova_t to)
{
	prepare(v, EDU_BUFFER, to);
}

void vlu_edu_start_prepared(const char *bdf)
{
	char path[64];
	void *regs;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource0", bdf);
	fd = open(path, O_RDWR);
	regs = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (regs == MAP_FAILED)
		plu_bail("%s: cannot map its registers: %s", bdf, strerror(errno));
	close(fd);
	writel(EDU_START | EDU_TO_MEMORY, regs + EDU_COMMAND);
}

bool vlu_edu_is_alive(struct vfio_pci_device *v, __u32 value)
{
	write_register(v, EDU_LIVENESS, value);

	return read_register(v, EDU_LIVENESS) == ~value;
}

bool vlu_edu_was_alive(struct vfio_pci_device *v, __u32 value)
{
	return read_register(v, EDU_LIVENESS) == ~value;
}

bool vlu_edu_interrupts(struct vfio_pci_device *v, int eventfd_fd, bool intx)
{
	bool came;

	write_register(v, EDU_RAISE, 1);
	came = vlu_was_signalled(eventfd_fd);
	write_register(v, EDU_ACKNOWLEDGE, 1);
	if (intx)
		vlu_unmask_intx(v);

	return came;
}
