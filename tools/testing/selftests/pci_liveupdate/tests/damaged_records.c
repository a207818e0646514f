// SPDX-License-Identifier: GPL-2.0
/*
 * Hand-overs with records that lie: there is one twice, which can't be read, or a reference
 * count is not how many devices there are. If it is too large, however large it is, the bridge
 * is incoming for too long, which ends with the hand-over; otherwise for too short.
 */

#include <string.h>

#include "plu.h"

/* A device on the root bus, and a bridge with two below it: see DEFAULT_TOPOLOGY. */
#define DEVICE	"0000:00/03.0"
#define BRIDGE	"0000:00/05.0"

static struct plu_record *record_at(struct plu_handover *h, const char *path)
{
	return plu_record_of(h, plu_at(path));
}

static void overwrite_one(struct plu_handover *h)
{
	struct plu_block *block = &h->block[0];

	block->record[block->count - 1] = *record_at(h, DEVICE);
	plu_expect_unreadable("%s twice", plu_at(DEVICE)->bdf);
}

static void add_one(struct plu_handover *h)
{
	struct plu_block *block = &h->block[0];

	block->record[block->count++] = *record_at(h, BRIDGE);
	h->header.nr_devices++;
	plu_expect_unreadable("%s twice", plu_at(BRIDGE)->bdf);
}

static void be_free(struct plu_handover *h)
{
	record_at(h, DEVICE)->refcount = 0;
	h->header.nr_devices--;
}

static void believe_free(void)
{
	plu_at(DEVICE)->incoming = PLU_ORDINARY;
}

static void be_free_and_counted(struct plu_handover *h)
{
	record_at(h, DEVICE)->refcount = 0;
	plu_expect_unreadable("%u devices, not %u", h->header.nr_devices - 1,
			      h->header.nr_devices);
}

static void count_one_more(struct plu_handover *h)
{
	record_at(h, BRIDGE)->refcount++;
}

static void count_more_than_all(struct plu_handover *h)
{
	record_at(h, BRIDGE)->refcount = h->header.nr_devices + 1;
}

static void count_very_many(struct plu_handover *h)
{
	record_at(h, BRIDGE)->refcount = -1;
}

static void believe_too_many(void)
{
	struct plu_device *bridge = plu_at(BRIDGE);

	bridge->surplus = record_at(plu_told(), BRIDGE)->refcount -
			  plu_count_incoming(bridge, PLU_INCOMING);
}

static void count_one_less(struct plu_handover *h)
{
	record_at(h, BRIDGE)->refcount--;
}

static void believe_one_less(void)
{
	plu_at(BRIDGE)->surplus = -1;
}

static void count_device_twice(struct plu_handover *h)
{
	record_at(h, DEVICE)->refcount++;
}

static void believe_device_twice(void)
{
	plu_at(DEVICE)->surplus = 1;
}

static void be_zero(struct plu_handover *h)
{
	memset(h->block[0].record, 0, sizeof(h->block[0].record));
	plu_expect_unreadable("0 devices, not %u", h->header.nr_devices);
}

static void be_ones(struct plu_handover *h)
{
	memset(h->block[0].record, 0xff, sizeof(h->block[0].record));
	plu_expect_unreadable("ffffffff:ff:1f.7 twice");
}

static const struct plu_lie lie[] = {
	{ "a record in place of another", overwrite_one },
	{ "a record twice", add_one },
	{ "a free slot with an address", be_free, believe_free },
	{ "a free slot that is counted", be_free_and_counted },
	{ "more below a bridge than there are", count_more_than_all, believe_too_many },
	{ "very many below a bridge", count_very_many, believe_too_many },
	{ "one more below a bridge", count_one_more, believe_too_many },
	{ "one less below a bridge", count_one_less, believe_one_less },
	{ "a device that counts as two", count_device_twice, believe_device_twice },
	{ "records of zeros", be_zero },
	{ "records of ones", be_ones },
	{ }
};

static const struct plu_lies lies = {
	.name = "damaged_records",
	.lie = lie,
};

int main(int argc, char *argv[])
{
	return plu_lies_main(argc, argv, &lies);
}
