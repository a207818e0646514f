/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a demonstration prints:
 *
 *	demo: kernel LETTER: TEXT
 *	demo: step TEXT
 *	demo: device ADDRESS TEXT
 *	demo: error TEXT
 *	demo: row ...
 */
#ifndef _SELFTESTS_PCI_LIVEUPDATE_DEMO_H
#define _SELFTESTS_PCI_LIVEUPDATE_DEMO_H

#include <stdarg.h>
#include <stdio.h>

#include "plu.h"

static inline void __printf(1, 2) step(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	printf("demo: step ");
	vprintf(fmt, args);
	printf("\n");
	va_end(args);
}

static inline void __printf(2, 3) device(const struct plu_device *d, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	printf("demo: device %s ", d->bdf);
	vprintf(fmt, args);
	printf("\n");
	va_end(args);
}

static inline bool __printf(2, 3) check(bool ok, const char *fmt, ...)
{
	va_list args;

	if (ok)
		return true;

	va_start(args, fmt);
	printf("demo: error not so: ");
	vprintf(fmt, args);
	printf("\n");
	va_end(args);

	return false;
}

#endif /* _SELFTESTS_PCI_LIVEUPDATE_DEMO_H */
