/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tests of live update: drivers that know nothing of it, those that a distribution has for
 * the devices. They are in a folder of their own, so that nobody else loads them.
 */
#ifndef _SELFTESTS_PCI_LIVEUPDATE_NATIVE_H
#define _SELFTESTS_PCI_LIVEUPDATE_NATIVE_H

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "plu.h"

/* Load some, in this order; the last is NULL. */
static inline void native_load(const char * const *names)
{
	char path[64];
	int ret;

	for (; *names; names++) {
		snprintf(path, sizeof(path), "native/%s", *names);
		ret = plu_load_module(path, "");
		if (ret)
			plu_skip("cannot load %s: %s", path, strerror(-ret));
	}
}

static inline bool native_drives(const char *driver, const struct plu_device *d)
{
	char path[96];

	snprintf(path, sizeof(path), "/sys/bus/pci/drivers/%s/%s", driver, d->bdf);

	return plu_exists(path);
}

/* Have the kernel look for a driver. */
static inline void native_probe(const struct plu_device *d)
{
	plu_write_file("/sys/bus/pci/drivers_probe", d->bdf);
}

#endif /* _SELFTESTS_PCI_LIVEUPDATE_NATIVE_H */
