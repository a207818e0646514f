/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tests of live update: QEMU's educational device, by its registers, whatever driver it has.
 */
#ifndef _SELFTESTS_PCI_LIVEUPDATE_EDU_REGS_H
#define _SELFTESTS_PCI_LIVEUPDATE_EDU_REGS_H

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "edu.h"
#include "plu.h"

#define EDU_REGS_SIZE	4096

static inline __u32 *edu_map(const struct plu_device *d)
{
	int fd = open(plu_sysfs(d, "resource0"), O_RDWR);
	void *map;

	map = mmap(NULL, EDU_REGS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		plu_bail("%s: cannot map its registers: %s", d->bdf, strerror(errno));
	close(fd);

	return map;
}

static inline void edu_unmap(__u32 *regs)
{
	munmap(regs, EDU_REGS_SIZE);
}

static inline void edu_write(__u32 *regs, unsigned int where, __u32 value)
{
	__atomic_store_n(regs + where / sizeof(*regs), value, __ATOMIC_RELEASE);
}

static inline __u32 edu_read(const __u32 *regs, unsigned int where)
{
	return __atomic_load_n(regs + where / sizeof(*regs), __ATOMIC_ACQUIRE);
}

static inline bool edu_is_done(void *regs)
{
	return !(edu_read(regs, EDU_COMMAND) & EDU_START);
}

#endif /* _SELFTESTS_PCI_LIVEUPDATE_EDU_REGS_H */
