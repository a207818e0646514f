// SPDX-License-Identifier: GPL-2.0
/*
 * Kernel after kernel, as many as plu.jumps= says, each handed what is damaged at random:
 * header, chain and records have numbers that are near others, or far from any, or noise.
 * The test knows which of these a kernel can read, and what it then has to believe.
 *
 * plu.seed= makes it choose the same again.
 */

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "plu.h"

#define VERSION	2

/* --- Can it be read? --------------------------------------------------------- */

static bool is_twice(const struct plu_record *record, struct plu_record **all, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		if (all[i]->domain == record->domain && all[i]->bdf == record->bdf)
			return true;

	return false;
}

/* The records that are in use, as long as there is nothing wrong; or else a negative number. */
static int collect_records(struct plu_handover *h, struct plu_record **all)
{
	bool met[PLU_MAX_BLOCKS] = { };
	__u64 at = h->header.devices;
	unsigned int nr = 0, i;

	if (h->header.version != VERSION)
		return -1;
	while (at) {
		for (i = 0; i < h->nr_blocks && h->block_at[i] != at; i++)
			;
		if (i == h->nr_blocks || met[i] || !h->block[i].count ||
		    h->block[i].count > PLU_PER_BLOCK)
			return -1;
		met[i] = true;
		for (unsigned int n = 0; n < h->block[i].count; n++) {
			struct plu_record *record = &h->block[i].record[n];

			if (!record->refcount)
				continue;
			if (is_twice(record, all, nr))
				return -1;
			all[nr++] = record;
		}
		at = h->block[i].next;
	}

	return nr == h->header.nr_devices ? (int)nr : -1;
}

static struct plu_record *records[PLU_MAX_BLOCKS * PLU_PER_BLOCK];

/* --- Damage ------------------------------------------------------------------- */

static bool is_likely(void)
{
	return plu_random(4);
}

/* A number near another, or at one of the ends, or any. */
static __u64 number_near(__u64 number)
{
	switch (plu_random(8)) {
	case 0:
		return 0;
	case 1:
		return -1ULL;
	case 2:
		return number + 1;
	case 3:
		return number - 1;
	case 4:
		return number ^ 1ULL << plu_random(64);
	case 5:
		return plu_random(0);
	case 6:
		return plu_random(number + 2);
	default:
		return number;
	}
}

/*
 * Where no memory is preserved, or what the kernel is about to read or has read. Memory
 * that is preserved for others cannot be told from a block, and is left out.
 */
static __u64 any_address(const struct plu_handover *h)
{
	const __u64 page = getpagesize();
	__u64 block_at = h->block_at[plu_random(h->nr_blocks)];
	char *mine;

	switch (plu_random(8)) {
	case 0:
		return 0;
	case 1:
		return h->header_at;
	case 2:
		return block_at + 1 + plu_random(page - 1);
	case 3:
		return block_at ^ 1ULL << (40 + plu_random(24));
	case 4:
		return plu_random(0) | 1ULL << 40;
	case 5:
		mine = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);
		if (mine == MAP_FAILED)
			plu_bail("mmap failed");
		memcpy(mine, &h->block[0], sizeof(h->block[0]));
		return plu_physical(mine);
	default:
		return block_at;
	}
}

static struct plu_record *any_record(struct plu_handover *h)
{
	struct plu_block *block = &h->block[plu_random(h->nr_blocks)];
	__u64 count = block->count;

	if (!count || count > PLU_PER_BLOCK)
		count = PLU_PER_BLOCK;
	/* Most are free. */
	return &block->record[plu_random(is_likely() ? count : PLU_PER_BLOCK)];
}

static const char *any_address_of_device(void)
{
	unsigned int n = plu_random(plu.nr_devices + plu.nr_bridges);

	return n < plu.nr_devices ? plu.dev[n].bdf : plu.bridge[n - plu.nr_devices].bdf;
}

static void damage_record(struct plu_handover *h)
{
	struct plu_record *record = any_record(h);
	bool was_in_use = record->refcount;

	switch (plu_random(7)) {
	case 0:
		record->refcount = number_near(record->refcount);
		break;
	case 1:
		record->bdf = number_near(record->bdf);
		break;
	case 2:
		record->domain = number_near(record->domain);
		break;
	case 3:
		plu_set_address(record, any_address_of_device());
		break;
	case 4:
		*record = *any_record(h);
		break;
	case 5:
		memset(record, 0, sizeof(*record));
		break;
	case 6:
		record->domain = plu_random(0);
		record->bdf = plu_random(0);
		record->refcount = plu_random(4);
		break;
	}
	/* Half of the time the header knows. */
	if (plu_random(2))
		h->header.nr_devices += !!record->refcount - was_in_use;
}

static void damage_block(struct plu_handover *h)
{
	struct plu_block *block = &h->block[plu_random(h->nr_blocks)];

	switch (plu_random(3)) {
	case 0:
		block->next = any_address(h);
		break;
	case 1:
		block->count = number_near(block->count);
		break;
	case 2:
		block->count = plu_random(PLU_PER_BLOCK + 2);
		break;
	}
}

static void damage_header(struct plu_handover *h)
{
	switch (plu_random(4)) {
	case 0:
		h->header.version = number_near(h->header.version);
		break;
	case 1:
	case 2:
		h->header.nr_devices = number_near(h->header.nr_devices);
		break;
	case 3:
		h->header.devices = any_address(h);
		break;
	}
}

/* Addresses are made harmless by a bit that no memory has. */
static void make_noise(struct plu_handover *h)
{
	struct plu_block *block = &h->block[plu_random(h->nr_blocks)];
	char *begin = plu_random(4) ? (char *)block->record : (char *)block;
	size_t len = plu_random(plu_random(2) ? 64 : sizeof(block->record));

	begin += plu_random(plu_random(2) ? 64 : sizeof(block->record) - len);
	for (size_t i = 0; i < len; i++)
		begin[i] = plu_random(256);
	if (block->next && block->next != h->block_at[h->nr_blocks - 1])
		block->next |= 1ULL << 40;
}

/*
 * A record of a device that this test does not know cannot be finished, and a domain with
 * more than 4 digits it does not know how to write.
 */
static void make_harmless(struct plu_handover *h)
{
	int nr = collect_records(h, records);

	for (int i = 0; i < nr; i++) {
		struct plu_device d = {};

		records[i]->domain &= 0xffff;
		plu_get_address(records[i], d.bdf);
		if (plu_exists(plu_sysfs(&d, "vendor")) && !plu_find(d.bdf))
			records[i]->domain = 1;
	}
}

static void damage(struct plu_handover *h)
{
	int nr;

	if (!is_likely())
		plu_split_block(h);
	for (unsigned int i = 1 + plu_random(3); i; i--) {
		switch (plu_random(8)) {
		case 0:
			damage_header(h);
			break;
		case 1:
			damage_block(h);
			break;
		case 2:
			make_noise(h);
			break;
		default:
			damage_record(h);
			break;
		}
	}
	make_harmless(h);
	nr = collect_records(h, records);
	if (nr < 0)
		plu_expect_unreadable(PLU_ANY_REASON);
	plu_say("%s, %u devices said to be there, %d are", nr < 0 ? "unreadable" : "readable",
		h->header.nr_devices, nr);
}

/* --- After the jump ------------------------------------------------------------ */

static void forget(struct plu_device *d, const struct plu_device *end)
{
	for (; d < end; d++) {
		d->incoming = PLU_ORDINARY;
		d->surplus = 0;
		d->unrecorded = true;
	}
}

static void believe(void)
{
	struct plu_device *d;
	char path[32];
	int nr;

	nr = collect_records(plu_told(), records);
	forget(plu.dev, plu_end());
	forget(plu.bridge, plu_bridges_end());

	for (int i = 0; i < nr; i++) {
		char bdf[PLU_BDF_SIZE];

		plu_get_address(records[i], bdf);
		d = plu_find(bdf);
		if (!d) {
			snprintf(path, sizeof(path), "nowhere/%d", i);
			d = plu_add_absent(path, bdf, false);
		}
		d->unrecorded = false;
		d->surplus = records[i]->refcount;
		if (!d->is_bridge) {
			d->incoming = PLU_INCOMING;
			d->surplus--;
		}
	}
	for (d = plu.bridge; d < plu_bridges_end(); d++)
		if (!d->unrecorded)
			d->surplus -= plu_count_incoming(d, PLU_INCOMING);
	/* Nothing is to be kept if there is nothing. */
	plu.keep_buses = nr;
}

static const struct plu_lie lie = { "damage", damage, believe };

static void first(void)
{
	plu_find_devices(2);
	plu_check("nothing is handed over yet");
}

static void run(void)
{
	const char *left_alone = NULL;
	__u64 seed = plu_seed();

	if (plu.stage == 1)
		first();
	else
		plu_find_lie(&lie);
	plu_say("jump %u: %s", plu.stage - 1, plu.handover);
	if (plu.stage == plu_nr_jumps())
		return;

	plu_say("seed %llu", (unsigned long long)seed);
	plu_seed_random(seed + plu.stage);
	if (!plu_random(2))
		left_alone = plu.dev[plu_random(plu.nr_devices)].path;
	plu_preserve_and_lie(&lie, left_alone);
}

static const struct plu_test test = {
	.name = "soak_hostile",
	.stage = {
		{ .run = run, .plan = PLU_LIE_FIRST },
		{ .run = run, .plan = PLU_LIE_NEXT, .cmdline = PLU_LIE_CMDLINE },
	},
	.nr_stages = plu_nr_jumps,
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
