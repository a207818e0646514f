/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tests of live update: USB controllers that write to memory all the time, and are to be
 * stopped by the new kernel. One can be reset, as it is alone on its bus, and another
 * can't. A third one is no part of it: it shows how the others would write.
 */
#ifndef _SELFTESTS_PCI_LIVEUPDATE_STOPS_H
#define _SELFTESTS_PCI_LIVEUPDATE_STOPS_H

#include <sys/mman.h>

#include "uhci.h"

#define STOPS_TOPOLOGY	"-device pcie-root-port,id=rp1,chassis=1,addr=4\n"	\
			"-device pcie-pci-bridge,id=pb1,bus=rp1\n"		\
			"-device ich9-usb-uhci1,bus=pb1,addr=1\n"		\
			"-device ich9-usb-uhci1,addr=6\n"			\
			"-device ich9-usb-uhci1,addr=7\n"

#define RESETTABLE	"0000:00/04.0/00.0/01.0"
#define PLAIN		"0000:00/06.0"
#define WITNESS		"0000:00/07.0"

#define MEMORY_TOKEN	0x3e3

static struct {
	struct uhci_schedule resettable;
	struct uhci_schedule plain;
	struct uhci_schedule witness;
} *memory;

static inline void map_memory(int fd)
{
	memory = mmap(NULL, sizeof(*memory), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		plu_bail("mmap: %s", strerror(errno));
}

/* Make all ready, with memory that the session preserves. */
static inline void prepare_to_write(int session)
{
	int fd = memfd_create("stops", 0);

	if (fd < 0 || ftruncate(fd, sizeof(*memory)))
		plu_bail("memfd: %s", strerror(errno));
	map_memory(fd);
	memset(memory, 0, sizeof(*memory));
	if (plu_try_preserve(session, fd, MEMORY_TOKEN))
		plu_bail("cannot preserve memory");
	for (struct plu_device *d = plu.dev; d < plu_end(); d++)
		if (!d->driver && plu_driver_override(d->bdf, PLU_DRIVER))
			plu_bail("%s: cannot be bound", d->bdf);
	uhci_prepare(plu_at(RESETTABLE), &memory->resettable, false);
	uhci_prepare(plu_at(PLAIN), &memory->plain, false);
}

/* Before the jump: let them write. */
static inline void write_on(void)
{
	plu_find_devices(0);
	uhci_start(plu_at(RESETTABLE));
	uhci_start(plu_at(PLAIN));
	if (!plu_wait_for(uhci_has_begun, plu_at(RESETTABLE)) ||
	    !plu_wait_for(uhci_has_begun, plu_at(PLAIN)))
		plu_bail("the USB controllers do not run");
}

/* In the next kernel: have the memory, and one that is seen to write to it. */
static inline void take_memory(int session)
{
	int fd = plu_retrieve_fd(session, MEMORY_TOKEN);

	if (fd < 0)
		plu_bail("cannot retrieve memory: %s", strerror(-fd));
	map_memory(fd);
	uhci_prepare(plu_at(WITNESS), &memory->witness, false);
	uhci_start(plu_at(WITNESS));
}

static inline bool resettable_writes(void)
{
	return uhci_writes(&memory->resettable, &memory->witness);
}

static inline bool plain_writes(void)
{
	return uhci_writes(&memory->plain, &memory->witness);
}

static inline unsigned int times_said_of(const char *path, const char *what)
{
	return plu_times_said_of(plu_at(path), "%s", what);
}

#endif /* _SELFTESTS_PCI_LIVEUPDATE_STOPS_H */
