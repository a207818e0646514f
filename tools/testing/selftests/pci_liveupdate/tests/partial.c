// SPDX-License-Identifier: GPL-2.0
/*
 * Some devices are preserved and some are not, in two sessions, which are finished
 * one after the other.
 */

#include "plu.h"

#define FIRST	"partial-first"
#define SECOND	"partial-second"

/* Every other device, and of those all but one in the first session. */
static bool is_preserved(const struct plu_device *d)
{
	return (d - plu.dev) % 2 == 0;
}

static bool is_in_second(const struct plu_device *d)
{
	return d == &plu.dev[2];
}

static void preserve(void)
{
	struct plu_device *d;
	int first, second;

	plu_find_devices(4);
	first = plu_session(FIRST);
	second = plu_session(SECOND);
	for (d = plu.dev; d < plu_end(); d++) {
		plu_set_cookie(d, 0xbad0000000000000 + d->token);
		if (is_preserved(d))
			plu_preserve(is_in_second(d) ? second : first, d);
	}
	plu_check("every other device is outgoing");
}

static void retrieve(void)
{
	int first, second, own;
	struct plu_device *d;
	bool expected = true;

	plu_take_over();
	for (d = plu.dev; d < plu_end(); d++)
		expected &= is_preserved(d) == (d->incoming == PLU_INCOMING);
	plu_ok(expected, "every other device was handed over");
	plu_check("these are incoming, and no others");

	/* The others are free for a hand-over to the next kernel. */
	own = plu_session("partial-own");
	plu_preserve(own, &plu.dev[1]);
	plu_check("one of the others is outgoing");
	plu_close_session(own);
	plu_check("and not any more");

	/* In another order than they were preserved in. */
	second = plu_retrieve_session(SECOND);
	first = plu_retrieve_session(FIRST);
	for (d = plu_end(); d-- > plu.dev;)
		if (is_preserved(d) && !is_in_second(d))
			plu_retrieve(first, d);
	plu_check("all of the first session are retrieved");

	plu_finish(first);
	plu_check("those of the first session are ordinary, the other is incoming");

	/* Nobody has to retrieve what nobody wants back. */
	plu.dev[2].incoming_session = second;
	plu_finish(second);
	plu_check("the other one as well, which was not retrieved");
}

static const struct plu_test test = {
	.name = "partial",
	.stage = {
		{ .run = preserve, .plan = 1 },
		{ .run = retrieve, .plan = 7 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
