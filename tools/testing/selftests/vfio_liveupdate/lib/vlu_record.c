// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of live update with vfio-pci: the record of a file, in memory.
 */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "vlu.h"

static bool is_of(const struct vlu_record *record, const struct plu_device *d)
{
	struct plu_record address;

	plu_set_address(&address, d->bdf);

	return record->version == 2 && !(record->flags & ~1) && !record->reserved &&
	       record->domain == address.domain && record->bdf == address.bdf &&
	       record->vendor == d->vendor && record->device == d->device;
}

struct search {
	const struct plu_device *d;
	int memory;
	unsigned int found;
	__u64 at;
};

/* It has a page of its own. */
static void look_at_page(__u64 phys, void *arg)
{
	struct search *search = arg;
	struct vlu_record record;

	if (pread(search->memory, &record, sizeof(record), phys) != sizeof(record) ||
	    !is_of(&record, search->d))
		return;
	search->found++;
	search->at = phys;
}

__u64 vlu_find_record(const struct plu_device *d)
{
	struct search search = {
		.d = d,
		.memory = open("/dev/mem", O_RDONLY),
	};

	if (search.memory < 0)
		plu_skip("/dev/mem: %s", strerror(errno));
	plu_for_pages_of_unknown_use(look_at_page, &search);
	close(search.memory);
	if (search.found != 1)
		plu_bail("%s: %u records of it are found in memory", d->bdf, search.found);

	return search.at;
}

void vlu_damage(const struct plu_device *d, void (*change)(struct vlu_record *record))
{
	struct vlu_record record;
	__u64 at = vlu_find_record(d);

	plu_read_memory(at, &record, sizeof(record));
	change(&record);
	plu_write_memory(at, &record, sizeof(record));
}
