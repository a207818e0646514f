// SPDX-License-Identifier: GPL-2.0
/*
 * Who reads debugfs at the moment of the jump has a reference to what is handed over, as
 * a driver may have. The next kernel must not take that for a file which is yet to be
 * finished: then the hand-over would never end.
 */

#include "plu.h"

#define SESSION		"readers"
#define NR_READERS	8

static void preserve(void)
{
	plu_find_devices(1);
	plu_preserve(plu_session(SESSION), &plu.dev[0]);
	plu_check("one device is outgoing");
	plu_gives(plu_load_module("external/pci_liveupdate_stray", "call=hold"), 0,
		  "a driver holds a reference to what is handed over");
}

static void read_all_the_time(void)
{
	for (int i = 0; i < NR_READERS; i++)
		plu_start_reader();
}

static void retrieve(void)
{
	int session;

	plu_take_over();
	plu_check("it is incoming");

	session = plu_retrieve_session(SESSION);
	plu_retrieve(session, &plu.dev[0]);
	plu_finish(session);
	plu_check("the hand-over has ended, and nothing is left of it");
}

static const struct plu_test test = {
	.name = "readers",
	.stage = {
		{ .run = preserve, .plan = 2, .before_jump = read_all_the_time },
		{ .run = retrieve, .plan = 2 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
