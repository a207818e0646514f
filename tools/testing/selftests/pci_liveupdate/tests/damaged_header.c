// SPDX-License-Identifier: GPL-2.0
/*
 * Hand-overs with a header that lies: it is of another version, or does not say how many
 * devices there are, or is no header at all.
 */

#include <string.h>

#include "plu.h"

static void be_older(struct plu_handover *h)
{
	h->header.version--;
	plu_expect_unreadable("version 1, not 2");
}

static void be_newer(struct plu_handover *h)
{
	h->header.version++;
	plu_expect_unreadable("version 3, not 2");
}

static void set_nr(struct plu_handover *h, __u32 nr)
{
	plu_expect_unreadable("%u devices, not %u", h->header.nr_devices, nr);
	h->header.nr_devices = nr;
}

static void say_one_less(struct plu_handover *h)
{
	set_nr(h, h->header.nr_devices - 1);
}

static void say_one_more(struct plu_handover *h)
{
	set_nr(h, h->header.nr_devices + 1);
}

static void say_very_many(struct plu_handover *h)
{
	set_nr(h, -1);
}

static void say_none(struct plu_handover *h)
{
	set_nr(h, 0);
}

static void be_zero(struct plu_handover *h)
{
	memset(&h->header, 0, sizeof(h->header));
	plu_expect_unreadable("version 0, not 2");
}

static void be_ones(struct plu_handover *h)
{
	memset(&h->header, 0xff, sizeof(h->header));
	plu_expect_unreadable("version 4294967295, not 2");
}

static const struct plu_lie lie[] = {
	{ "an older version", be_older },
	{ "a newer version", be_newer },
	{ "one device too few", say_one_less },
	{ "one device too many", say_one_more },
	{ "billions of devices", say_very_many },
	{ "no device", say_none },
	{ "a header of zeros", be_zero },
	{ "a header of ones", be_ones },
	{ }
};

static const struct plu_lies lies = {
	.name = "damaged_header",
	.lie = lie,
};

int main(int argc, char *argv[])
{
	return plu_lies_main(argc, argv, &lies);
}
