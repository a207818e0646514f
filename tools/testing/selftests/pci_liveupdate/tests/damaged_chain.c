// SPDX-License-Identifier: GPL-2.0
/*
 * Hand-overs whose blocks of records are not chained together as they should be, or whose
 * blocks do not say how many records they have.
 */

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "plu.h"

/* More than any machine has; where x86 has no memory but a device; and what is no address. */
#define BEYOND_MEMORY	0x200000000000ULL
#define IN_A_DEVICE	0xfee00000ULL
#define NO_ADDRESS	(-1ULL & ~0xfffULL)

static void expect_no_block(__u64 at)
{
	plu_expect_unreadable("no block was preserved at 0x%llx", (unsigned long long)at);
}

/* This is no lie: what the others do with a chain is not what it is refused for. */
static void have_two_blocks(struct plu_handover *h)
{
	plu_split_block(h);
}

static void lead_to_itself(struct plu_handover *h)
{
	h->block[0].next = h->block_at[0];
	expect_no_block(h->block[0].next);
}

static void lead_back(struct plu_handover *h)
{
	plu_split_block(h);
	h->block[1].next = h->block_at[0];
	expect_no_block(h->block[1].next);
}

static void lead_to_header(struct plu_handover *h)
{
	h->header.devices = h->header_at;
	expect_no_block(h->header.devices);
}

static void end_at_header(struct plu_handover *h)
{
	h->header.devices = 0;
	plu_expect_unreadable("0 devices, not %u", h->header.nr_devices);
}

static void end_early(struct plu_handover *h)
{
	plu_split_block(h);
	h->block[0].next = 0;
	plu_expect_unreadable("%u devices, not %u", (unsigned int)h->block[0].count,
			      h->header.nr_devices);
}

static void lead_beyond_memory(struct plu_handover *h)
{
	h->block[0].next = BEYOND_MEMORY;
	expect_no_block(h->block[0].next);
}

static void lead_into_device(struct plu_handover *h)
{
	h->block[0].next = IN_A_DEVICE;
	expect_no_block(h->block[0].next);
}

static void lead_nowhere(struct plu_handover *h)
{
	h->header.devices = NO_ADDRESS;
	expect_no_block(h->header.devices);
}

/* A page of this process, which looks like a good block. */
static void lead_to_what_is_lost(struct plu_handover *h)
{
	struct plu_block *page;

	page = mmap(NULL, getpagesize(), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		plu_bail("mmap failed");
	page->count = 1;
	h->block[0].next = plu_physical(page);
	expect_no_block(h->block[0].next);
}

static void miss_block(struct plu_handover *h)
{
	h->header.devices += sizeof(struct plu_record);
	expect_no_block(h->header.devices);
}

static void miss_second_block(struct plu_handover *h)
{
	plu_split_block(h);
	h->block[0].next += 1;
	expect_no_block(h->block[0].next);
}

static void set_count(struct plu_handover *h, __u64 count)
{
	h->block[0].count = count;
	plu_expect_unreadable("a block has %llu entries", (unsigned long long)count);
}

static void have_no_entry(struct plu_handover *h)
{
	set_count(h, 0);
}

static void have_too_many(struct plu_handover *h)
{
	set_count(h, PLU_PER_BLOCK + 1);
}

static void have_very_many(struct plu_handover *h)
{
	/* So many that their size fits into no number. */
	set_count(h, (1ULL << 61) + 1);
}

static void hide_one(struct plu_handover *h)
{
	h->block[0].count--;
	plu_expect_unreadable("%u devices, not %u", (unsigned int)h->block[0].count,
			      h->header.nr_devices);
}

/* All of the others are free slots. */
static void have_all(struct plu_handover *h)
{
	h->block[0].count = PLU_PER_BLOCK;
}

static void be_zero(struct plu_handover *h)
{
	memset(&h->block[0], 0, sizeof(h->block[0]));
	plu_expect_unreadable("a block has 0 entries");
}

static void be_ones(struct plu_handover *h)
{
	memset(&h->block[0], 0xff, sizeof(h->block[0]));
	plu_expect_unreadable("a block has %llu entries", -1ULL);
}

static const struct plu_lie lie[] = {
	{ "two blocks", have_two_blocks },
	{ "a block that leads to itself", lead_to_itself },
	{ "a block that leads back", lead_back },
	{ "a header that leads to itself", lead_to_header },
	{ "a header that leads to no block", end_at_header },
	{ "a chain that ends early", end_early },
	{ "a block beyond memory", lead_beyond_memory },
	{ "a block in a device", lead_into_device },
	{ "a block nowhere", lead_nowhere },
	{ "a block that was not preserved", lead_to_what_is_lost },
	{ "a first block that is not aligned", miss_block },
	{ "a second block that is not aligned", miss_second_block },
	{ "a block with no entry", have_no_entry },
	{ "a block with one entry too many", have_too_many },
	{ "a block with very many entries", have_very_many },
	{ "a block with one entry too few", hide_one },
	{ "a block with free slots", have_all },
	{ "a block of zeros", be_zero },
	{ "a block of ones", be_ones },
	{ }
};

static const struct plu_lies lies = {
	.name = "damaged_chain",
	.lie = lie,
};

int main(int argc, char *argv[])
{
	return plu_lies_main(argc, argv, &lies);
}
