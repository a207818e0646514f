/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tests of PCI Live Update: how long something takes, in a QEMU that counts instructions as
 * time (-icount shift=0), of which the processor's clock counts one each nanosecond.
 */
#ifndef _SELFTESTS_PCI_LIVEUPDATE_STOPWATCH_H
#define _SELFTESTS_PCI_LIVEUPDATE_STOPWATCH_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "plu.h"

#define STOPWATCH	"pci_liveupdate_stopwatch"
#define STOPWATCH_SIZE	4096
#define STOPWATCH_TOKEN	0x71e

/* What the next kernel finds of a jump: see the module. */
struct stopwatch {
	__u64 started;
	__u64 bound_to_happen;
	__u64 shut_down;
};

/* What looks for mistakes costs more than what it looks at, and not evenly. */
static inline bool stopwatch_tells(void)
{
	return !plu_exists("/sys/kernel/debug/kmemleak") &&
	       !plu_exists("/sys/kernel/debug/kcsan");
}

/* A page of it, and of what else the test wants to hand over. */
static inline void *stopwatch_map(int memfd)
{
	void *page = mmap(NULL, STOPWATCH_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);

	if (page == MAP_FAILED)
		plu_bail("cannot map a page: %s", strerror(errno));

	return page;
}

/* Preserve a page, and have the jump timed in it. What comes after that is the test's. */
static inline void stopwatch_load(const char *session_name, const void *page, size_t size)
{
	int memfd = memfd_create("stopwatch", 0);
	int session = plu_session(session_name);
	char parameters[32];
	void *copy;

	if (memfd < 0 || ftruncate(memfd, STOPWATCH_SIZE))
		plu_bail("no memory: %s", strerror(errno));
	copy = stopwatch_map(memfd);
	memcpy(copy, page, size);
	if (plu_try_preserve(session, memfd, STOPWATCH_TOKEN))
		plu_bail("the page cannot be preserved");
	snprintf(parameters, sizeof(parameters), "address=0x%llx",
		 (unsigned long long)plu_physical(copy));
	if (plu_load_module("external/" STOPWATCH, parameters))
		plu_bail("no stopwatch");
}

/* To be called right before the jump. */
static inline void stopwatch_start(void)
{
	if (plu_write_file("/sys/module/" STOPWATCH "/parameters/started", "1"))
		fprintf(stderr, "the jump is not timed\n");
}

/* In the next kernel */
static inline void stopwatch_read(const char *session_name, void *page, size_t size)
{
	int session = plu_retrieve_session(session_name);
	int memfd = plu_retrieve_fd(session, STOPWATCH_TOKEN);

	if (memfd < 0)
		plu_bail("the page cannot be retrieved: %s", strerror(-memfd));
	memcpy(page, stopwatch_map(memfd), size);
	close(memfd);
	/* Which ends it. The model does not know of it. */
	close(session);
}

static inline __u64 stopwatch_now(void)
{
	return __builtin_ia32_rdtsc();
}

#endif
