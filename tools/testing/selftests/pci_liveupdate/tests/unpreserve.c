// SPDX-License-Identifier: GPL-2.0
/*
 * Devices that are not preserved any more, because their session was closed or
 * because the driver says so, are ordinary ones, leave room for others, can be
 * preserved again, and are not handed over.
 */

#include <errno.h>

#include "plu.h"

#define KEPT	"unpreserve-kept"
#define CLOSED	"unpreserve-closed"

static struct plu_device *repeated;

static void preserve_and_unpreserve(void)
{
	int session = plu_session("unpreserve-repeated");

	plu_preserve(session, repeated);
	plu_close_session(session);
}

static void repeat(struct plu_device *d)
{
	repeated = d;
	plu_find_leaks("preserved and unpreserved", preserve_and_unpreserve, 200);
	plu_check("nor anything else");
}

static void unpreserve(void)
{
	struct plu_device *d, *first, *second, *third;
	int kept, closed;
	__u64 memory;

	plu_find_devices(3);
	first = &plu.dev[0];
	second = &plu.dev[1];
	third = &plu.dev[2];
	for (d = plu.dev; d < plu_end(); d++)
		plu_set_cookie(d, 0x1d1e << 16 | d->token);

	kept = plu_session(KEPT);
	plu_preserve(kept, first);
	closed = plu_session(CLOSED);
	plu_preserve(closed, second);
	plu_preserve(closed, third);
	plu_check("three devices are outgoing");

	plu_close_session(closed);
	plu_check("the two of the closed session are not any more");

	closed = plu_session(CLOSED);
	plu_preserve(closed, third);
	plu_check("one of them is preserved again");

	/* What a driver does that has its own reasons. */
	plu_gives(plu_command(second, "preserve"), 0, "the driver preserves another");
	plu_set_outgoing(second, true);
	plu_check("it is outgoing");
	plu_gives(plu_command(second, "unpreserve"), 0, "the driver unpreserves it");
	plu_set_outgoing(second, false);
	plu_check("it is not outgoing");
	plu_gives(plu_command(second, "preserve"), 0, "the driver preserves it again");
	plu_set_outgoing(second, true);

	memory = plu_status_address("outgoing_address");
	plu_ok(plu_page_in_use(memory), "the hand-over is in memory");
	plu_close_session(kept);
	plu_check("the first is not outgoing any more");
	plu_expect_warning(second, PLU_MSG_LEFT_PRESERVED);
	plu_close_session(closed);
	/* That it is not preserved any more is not said as well. */
	second->outgoing = false;
	plu_ok(plu_page_given_back(memory), "the memory was given back");
	plu_check("with the last file, what its driver has forgotten goes as well");

	repeat(second);

	kept = plu_session(KEPT);
	plu_preserve(kept, second);
	closed = plu_session(CLOSED);
	plu_preserve(closed, first);
	plu_close_session(closed);
	plu_check("one device is outgoing");
	plu_when_written(plu_check_written);
}

static void retrieve(void)
{
	struct plu_device *second;
	int session;

	plu_take_over();
	second = &plu.dev[1];
	plu_ok(second->incoming == PLU_INCOMING, "one device was handed over");
	plu_check("it is incoming, and no other");

	plu_gives(plu_try_retrieve_session(CLOSED), -ENOENT,
		  "the closed session was not handed over");
	session = plu_retrieve_session(KEPT);
	plu_retrieve(session, second);
	plu_finish(session);
	plu_check("it is an ordinary device");

	repeated = second;
	preserve_and_unpreserve();
	plu_check("which can be preserved and unpreserved as before");
}

static const struct plu_test test = {
	.name = "unpreserve",
	.stage = {
		{ .run = unpreserve, .plan = 15 },
		{ .run = retrieve, .plan = 5 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
