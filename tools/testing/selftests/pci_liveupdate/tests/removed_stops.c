// SPDX-License-Identifier: GPL-2.0
/*
 * An incoming device that writes to memory, and is removed, alone or with the bridge above
 * it, does not write any more from then on. It is incoming when it is found again, and
 * known to have been stopped, and no bus master, until its user says so.
 */

#include <stdio.h>

#include "plu.h"
#include "stops.h"

#define SESSION	"removed_stops"

static const char *topology(void)
{
	return STOPS_TOPOLOGY;
}

static void preserve(void)
{
	int session;

	plu_find_devices(3);
	session = plu_session(SESSION);
	prepare_to_write(session);
	plu_preserve(session, plu_at(RESETTABLE));
	plu_preserve(session, plu_at(PLAIN));
	plu_check("two USB controllers are outgoing");
}

static bool any_is_bus_master(void)
{
	return plu_is_bus_master(plu_at(RESETTABLE)->bdf) || plu_is_bus_master(plu_at(PLAIN)->bdf);
}

static void bind_and_retrieve(int session, const char *path)
{
	if (plu_driver_override(plu_at(path)->bdf, PLU_DRIVER))
		plu_bail("%s: cannot be bound", path);
	plu_retrieve(session, plu_at(path));
}

static void remove_and_find(void)
{
	int session;

	plu_take_over();
	session = plu_retrieve_session(SESSION);
	take_memory(session);
	plu_check("both are incoming");
	plu_ok(resettable_writes() && plain_writes(), "and write to memory");

	plu_gives(plu_remove(plu_at(PLAIN)), 0, "one is removed");
	plu_ok(!plain_writes(), "it does not write any more");
	plu_ok(times_said_of(PLAIN, "stopped, but not reset: ") == 1,
	       "the kernel says that it was stopped, but not reset");
	plu_gives(plu_remove_bridge(plu_at(RESETTABLE)), 0, "the other is, with its bridge");
	plu_ok(!resettable_writes(), "nor does it write any more");
	plu_ok(times_said_of(RESETTABLE, "stopped, and reset") == 1,
	       "the kernel says that it was stopped, and reset");

	plu_rescan();
	plu_check("both are incoming again, and were stopped");
	plu_ok(!any_is_bus_master(), "they are no bus masters");
	bind_and_retrieve(session, RESETTABLE);
	bind_and_retrieve(session, PLAIN);
	plu_finish(session);
	plu_check("both are ordinary");
	plu_ok(!any_is_bus_master() && !resettable_writes() && !plain_writes(),
	       "and do not write");
}

static const struct plu_test test = {
	.name = "removed_stops",
	.qemu = topology,
	.also = uhci_ids,
	.stage = {
		{ .run = preserve, .plan = 1, .before_jump = write_on },
		{ .run = remove_and_find, .plan = 12 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
