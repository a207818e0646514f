// SPDX-License-Identifier: GPL-2.0
/*
 * From kernel A to B and on to C. B preserves what A has preserved before it has
 * finished it, so that a device is incoming and outgoing at once; and jumps into C
 * with one device finished and one not.
 */

#include <unistd.h>

#include "plu.h"

#define A_FINISHED	"chain-a-finished"
#define A_UNFINISHED	"chain-a-unfinished"
#define B_SESSION	"chain-b"

/* Finished in B, after it was preserved for C. */
#define FINISHED	(&plu.dev[0])
/* Preserved in B for C, and not finished there. */
#define UNFINISHED	(&plu.dev[1])
/* Ends in B. */
#define ENDING		(&plu.dev[2])

static void kernel_a(void)
{
	int finished, unfinished;
	struct plu_device *d;

	plu_find_devices(3);
	for (d = plu.dev; d < plu_end(); d++)
		plu_set_cookie(d, 0xa000000 + d->token);
	finished = plu_session(A_FINISHED);
	plu_preserve(finished, FINISHED);
	plu_preserve(finished, ENDING);
	unfinished = plu_session(A_UNFINISHED);
	plu_preserve(unfinished, UNFINISHED);
	plu_check("A: three devices are outgoing");
}

static void preserve_on(int session, struct plu_device *d)
{
	/* The file that was retrieved belongs to its session until that ends. */
	d->fd = plu_open(d);
	plu_preserve(session, d);
}

static void kernel_b(void)
{
	int finished, unfinished, session;

	plu_take_over();
	plu_check("B: three devices are incoming");

	finished = plu_retrieve_session(A_FINISHED);
	plu_retrieve(finished, FINISHED);
	plu_retrieve(finished, ENDING);
	unfinished = plu_retrieve_session(A_UNFINISHED);
	plu_retrieve(unfinished, UNFINISHED);
	plu_set_cookie(FINISHED, 0xb000000);
	plu_check("B: three devices are retrieved");

	session = plu_session(B_SESSION);
	preserve_on(session, FINISHED);
	preserve_on(session, UNFINISHED);
	plu_check("B: two of them are incoming and outgoing");

	plu_finish(finished);
	plu_check("B: one of these is outgoing, the other still both");
}

static void kernel_c(void)
{
	int session;

	plu_take_over();
	plu_ok(FINISHED->incoming == PLU_INCOMING &&
	       UNFINISHED->incoming == PLU_INCOMING &&
	       ENDING->incoming == PLU_ORDINARY, "C: two devices were handed on");
	plu_check("C: these are incoming");

	session = plu_retrieve_session(B_SESSION);
	plu_retrieve(session, FINISHED);
	plu_retrieve(session, UNFINISHED);
	plu_ok(plu_file_is(FINISHED->fd, FINISHED, 0xb000000),
	       "C: one works, and has the cookie of B");
	plu_ok(plu_file_is(UNFINISHED->fd, UNFINISHED, 0xa000000 + UNFINISHED->token),
	       "C: the other works, and has the cookie of A");
	plu_finish(session);
	plu_check("C: all devices are ordinary");
}

static const struct plu_test test = {
	.name = "chain",
	.stage = {
		{ .run = kernel_a, .plan = 1 },
		{ .run = kernel_b, .plan = 4 },
		{ .run = kernel_c, .plan = 5 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
