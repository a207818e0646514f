// SPDX-License-Identifier: GPL-2.0
/*
 * Devices that write to memory, when the hand-over cannot be read: each that is found to be
 * a bus master is stopped before a driver can have it, and named, and so nothing is
 * written to the memory of a session that is finished. Bridges stay bus masters. Of a
 * device that is none nothing is said.
 */

#include <errno.h>
#include <stdio.h>

#include "plu.h"
#include "stops.h"

#define SESSION	"unreadable_stops"
#define REASON	"version 3, not 2"

static const char *topology(void)
{
	return STOPS_TOPOLOGY "-device edu,addr=8";
}

static void be_newer(struct plu_handover *h)
{
	h->header.version++;
	plu_expect_unreadable(REASON);
}

static const struct plu_lie lie = { "a newer version", be_newer };

static void preserve_and_lie(void)
{
	struct plu_device *d;
	int session;

	plu_find_devices(4);
	session = plu_session(SESSION);
	prepare_to_write(session);
	for (d = plu.dev; d < plu_end(); d++)
		plu_preserve(session, d);
	plu_set_bus_master(plu_at(WITNESS)->bdf, false);
	plu_check("every device is outgoing");
	plu_tell(&lie);
}

static bool bridges_are_bus_masters(void)
{
	struct plu_device *b;
	bool all = true;

	for (b = plu.bridge; b < plu_bridges_end(); b++)
		if (plu_is_below(plu_at(RESETTABLE), b))
			all &= plu_is_bus_master(b->bdf);

	return all;
}

static void find_stopped(void)
{
	static const char found[] = "found to be a bus master, and must not be: stopped";
	struct plu_device *d;
	int session;

	plu_take_over();
	plu.handover = "unreadable (" REASON ")";
	for (d = plu.dev; d < plu_end(); d++)
		d->incoming = PLU_ORDINARY;
	plu_expect_found();
	plu_check("no device is incoming");
	plu_ok(!plu_is_bus_master(plu_at(RESETTABLE)->bdf) &&
	       !plu_is_bus_master(plu_at(PLAIN)->bdf), "none is a bus master");
	plu_ok(bridges_are_bus_masters(), "the bridges above are");
	plu_ok(times_said_of(RESETTABLE, found) == 1 && times_said_of(PLAIN, found) == 1 &&
	       plu_times_said(found) == 2, "the kernel names those that were, and no others");
	plu_ok(times_said_of(RESETTABLE, "stopped, and reset") == 1 &&
	       times_said_of(PLAIN, "stopped, but not reset: ") == 1,
	       "and says which could be reset");

	session = plu_retrieve_session(SESSION);
	take_memory(session);
	plu_ok(!resettable_writes() && !plain_writes(), "none writes to memory");
	plu_gives(plu_retrieve_fd(session, plu_at(PLAIN)->token), -ENODEV,
		  "none can be retrieved");
	plu_finish(session);
	plu_check("the session can be finished");
}

static const struct plu_test test = {
	.name = "unreadable_stops",
	.qemu = topology,
	.also = uhci_ids,
	.stage = {
		{ .run = preserve_and_lie, .plan = 1, .before_jump = write_on },
		{ .run = find_stopped, .plan = 8 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
