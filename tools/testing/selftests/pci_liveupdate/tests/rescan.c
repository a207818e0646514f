// SPDX-License-Identifier: GPL-2.0
/*
 * A device that is removed and found again is incoming again, unless it was
 * finished.
 */

#include <errno.h>

#include "plu.h"

#define NR_PRESERVED	4

/* Each in a session of its own. */
static const char * const sessions[NR_PRESERVED] = {
	"rescan-0", "rescan-1", "rescan-2", "rescan-3",
};

static void preserve(void)
{
	struct plu_device *d;

	plu_find_devices(NR_PRESERVED + 1);
	for (d = plu.dev; d < plu_end(); d++)
		plu_set_cookie(d, 0x5ca0 + d->token);
	for (int i = 0; i < NR_PRESERVED; i++)
		plu_preserve(plu_session(sessions[i]), &plu.dev[i]);
	plu_check("all devices but one are outgoing");
}

static void before_finish(struct plu_device *d, struct plu_device *ordinary)
{
	plu_gives(plu_remove(d), 0, "an incoming device can be removed");
	plu_gives(plu_remove(ordinary), 0, "so can an ordinary one");
	plu_check("the record of the incoming one stays");
	plu_rescan();
	plu_check("it is incoming again, the other is not");
	plu_gives(plu_remove(d), 0, "it can be removed once more");
	plu_rescan();
	plu_check("and is incoming once more");
}

static void with_bridge(struct plu_device *d)
{
	if (!plu_is_behind_bridge(d))
		plu_skip("%s is not behind a bridge", d->bdf);
	plu_gives(plu_remove_bridge(d), 0, "the bridge above another one can be removed");
	plu_check("its record stays");
	plu_rescan();
	plu_check("it is incoming again when the bridge is back");
}

static void after_finish(const char *name, struct plu_device *d)
{
	int session = plu_retrieve_session(name);

	plu_retrieve(session, d);
	plu_ok(plu_file_is(d->fd, d, d->handed_cookie),
	       "it is retrieved, works, and has the cookie");
	plu_finish(session);
	plu_close_session(session);
	plu_check("it is finished, while the others are incoming");
	plu_gives(plu_remove(d), 0, "a finished device can be removed");
	plu_rescan();
	plu_check("and is an ordinary one when it is found again");
}

static void not_there_to_retrieve(const char *name, struct plu_device *d)
{
	int session = plu_retrieve_session(name);

	plu_gives(plu_remove(d), 0, "an incoming device can be removed");
	plu_gives(plu_retrieve_fd(session, d->token), -ENODEV,
		  "it cannot be retrieved while it is away");
	plu_rescan();
	plu_retrieve(session, d);
	plu_ok(d->fd >= 0, "but it can be later, when it is there again");
	plu_check("it is incoming");
	plu_finish(session);
	plu_check("and can be finished");
}

static void not_there_to_finish(const char *last, struct plu_device *d,
				const char *name, struct plu_device *other)
{
	int session = plu_retrieve_session(last);

	plu_gives(plu_remove(d), 0, "an incoming device can be removed");
	d->incoming_session = session;
	plu_finish(session);
	plu_check("its record outlives its session");

	session = plu_retrieve_session(name);
	plu_retrieve(session, other);
	plu_finish(session);
	plu_check("but not the last session");
	plu_rescan();
	plu_check("it is an ordinary device when it is found again");
}

static void remove_and_rescan(void)
{
	plu_take_over();
	plu_check("all devices but one are incoming");

	before_finish(&plu.dev[0], &plu.dev[NR_PRESERVED]);
	with_bridge(&plu.dev[1]);
	after_finish(sessions[0], &plu.dev[0]);
	not_there_to_retrieve(sessions[2], &plu.dev[2]);
	not_there_to_finish(sessions[3], &plu.dev[3], sessions[1], &plu.dev[1]);
}

static const struct plu_test test = {
	.name = "rescan",
	.stage = {
		{ .run = preserve, .plan = 1 },
		{ .run = remove_and_rescan, .plan = 23 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
