// SPDX-License-Identifier: GPL-2.0
/*
 * A driver that finishes a device again is warned, and nothing else happens; nor does
 * it when a session is finished whose device its driver has finished already.
 */

#include "plu.h"

#define SESSION	"double_finish"

static void preserve(void)
{
	struct plu_device *d;
	int session;

	plu_find_devices(2);
	session = plu_session(SESSION);
	for (d = plu.dev; d < plu_end(); d++) {
		plu_set_cookie(d, 0xd0b1e + d->token);
		plu_preserve(session, d);
	}
	plu_check("every device is outgoing");
}

static void finish_again(struct plu_device *d, const char *when)
{
	plu_expect_warning(d, PLU_MSG_CANNOT_FINISH);
	plu_gives(plu_command(d, "finish"), 0, "the driver finishes it again, %s", when);
	plu_check("the kernel has warned and done nothing else");
}

static void finish(void)
{
	struct plu_device *d, *first;
	int session;

	plu_take_over();
	first = &plu.dev[0];
	session = plu_retrieve_session(SESSION);
	for (d = plu.dev; d < plu_end(); d++)
		plu_retrieve(session, d);
	plu_check("every device is incoming");

	plu_gives(plu_command(first, "finish"), 0, "the driver finishes one");
	plu_set_finished(first);
	plu_check("it is an ordinary device, the others are incoming");
	finish_again(first, "before its session");

	plu_finish(session);
	plu_check("the session finishes the others");

	plu_finish(session);
	plu_check("finishing the session again changes nothing");
	finish_again(first, "after its session");
	plu_close_session(session);
	plu_check("nor does closing it");
}

static const struct plu_test test = {
	.name = "double_finish",
	.stage = {
		{ .run = preserve, .plan = 1 },
		{ .run = finish, .plan = 10 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
