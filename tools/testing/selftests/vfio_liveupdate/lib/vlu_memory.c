// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of live update with vfio-pci: memory that devices do DMA with.
 */

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vlu.h"

void vlu_map_memory(struct vlu_memory *memory, struct iommu *iommu, size_t size, iova_t iova)
{
	memory->region.vaddr = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, memory->fd, 0);
	if (memory->region.vaddr == MAP_FAILED)
		plu_bail("mmap: %s", strerror(errno));
	memory->region.size = size;
	memory->region.iova = iova;
	if (iommu)
		iommu_map(iommu, &memory->region);
}

void vlu_create_memory(struct vlu_memory *memory, struct iommu *iommu, size_t size, iova_t iova)
{
	memory->fd = memfd_create("dma", 0);
	if (memory->fd < 0 || ftruncate(memory->fd, size))
		plu_bail("memfd: %s", strerror(errno));
	vlu_map_memory(memory, iommu, size, iova);
}

void vlu_retrieve_memory(struct vlu_memory *memory, struct iommu *iommu, size_t size, iova_t iova,
			 int session, __u64 token)
{
	memory->fd = plu_retrieve_fd(session, token);
	if (memory->fd < 0)
		plu_bail("cannot retrieve memory: %s", strerror(-memory->fd));
	vlu_map_memory(memory, iommu, size, iova);
}

static unsigned char pattern(unsigned int i, unsigned int number)
{
	return i * 7 + i / 256 + number;
}

void vlu_fill(void *page, unsigned int number)
{
	for (unsigned int i = 0; i < VLU_LENGTH; i++)
		((unsigned char *)page)[i] = pattern(i, number);
}

bool vlu_is_filled(const void *page, unsigned int number)
{
	for (unsigned int i = 0; i < VLU_LENGTH; i++)
		if (((const unsigned char *)page)[i] != pattern(i, number))
			return false;

	return true;
}
