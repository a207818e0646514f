// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of PCI Live Update: how much memory the kernel uses, so exactly that one kernel
 * can be compared with another.
 */

#include <stdlib.h>
#include <unistd.h>

#include "plu.h"

/* A value in /proc/meminfo, in pages. */
static long read_meminfo(const char *word)
{
	char text[4096], value[64];

	if (plu_read_file("/proc/meminfo", text, sizeof(text)) <= 0 ||
	    !plu_value(text, word, value, sizeof(value)))
		plu_bail("/proc/meminfo: there is no %s", word);

	return strtol(value, NULL, 10) * 1024 / getpagesize();
}

/* Stacks have no mark either, but are counted. How many there are is left to chance. */
static long pages_without_mark(void)
{
	long pages[5], n;
	size_t i, j;

	/* While this counts, pages come and go: the number in the middle will do. */
	for (i = 0; i < ARRAY_SIZE(pages); i++) {
		n = plu_pages_of_unknown_use() - read_meminfo("KernelStack:");
		for (j = i; j && pages[j - 1] > n; j--)
			pages[j] = pages[j - 1];
		pages[j] = n;
	}

	return pages[ARRAY_SIZE(pages) / 2];
}

struct plu_memory plu_read_memory_use(void)
{
	struct plu_memory memory;

	/* What can be had again is not in use. */
	plu_write_file("/proc/sys/vm/drop_caches", "3\n");
	memory.total = read_meminfo("MemTotal:");
	memory.unknown = pages_without_mark();
	memory.slab = read_meminfo("SUnreclaim:");

	return memory;
}
