// SPDX-License-Identifier: GPL-2.0
/*
 * A kernel that is told to assign all bus numbers anew does not do so when anything was
 * preserved: every device and every bridge is where it was, whether it was preserved
 * itself or not, also when all is finished. A kernel that is handed nothing does.
 */

#include <string.h>

#include "plu.h"

#define SESSION		"busnr"
#define ASSIGN_ALL	"pci=assign-busses,hpbussize=8"

/* One device is enough. */
static struct plu_device *behind_switch(void)
{
	struct plu_device *d;

	for (d = plu.dev; d < plu_end(); d++)
		if (plu_level(d) >= 3)
			return d;
	plu_skip("no device behind a switch");
}

static void preserve(void)
{
	struct plu_device *d;

	plu_find_devices(2);
	d = behind_switch();
	plu_set_cookie(d, 0xb05);
	plu_preserve(plu_session(SESSION), d);
	plu_check("one device is outgoing");
}

/* How many are not where they were? */
static unsigned int count_moved(void)
{
	unsigned int moved = 0;
	struct plu_device *d;

	for (d = plu.dev; d < plu_end(); d++) {
		if (!strcmp(d->bdf, d->handed_bdf))
			continue;
		plu_say("%s was %s", d->bdf, d->handed_bdf);
		moved++;
	}

	return moved;
}

static unsigned int count_renumbered(void)
{
	unsigned int renumbered = 0;
	struct plu_device *b;

	for (b = plu.bridge; b < plu_bridges_end(); b++) {
		if (plu_bus_numbers(b->bdf) == b->handed.numbers)
			continue;
		plu_say("%s has bus numbers 0x%06x, had 0x%06x", b->bdf,
			plu_bus_numbers(b->bdf), b->handed.numbers);
		renumbered++;
	}

	return renumbered;
}

static void stay(void)
{
	struct plu_device *d, *other;
	int session;

	plu_take_over();
	d = behind_switch();
	plu_check("the device is incoming");
	plu_ok(!count_moved(), "every device has its address");
	plu_ok(!count_renumbered(), "every bridge has its bus numbers");

	/* Nor do they move when bridges are found again: one that has nothing to do with it. */
	other = &plu.dev[0];
	while (other < plu_end() && plu_level(other) != 1)
		other++;
	if (other == plu_end())
		plu_skip("no device behind a root port");
	plu_gives(plu_remove_bridge(other), 0, "another bridge is removed");
	plu_rescan();
	plu_ok(!count_moved() && !count_renumbered(), "it is found again, and all is the same");

	session = plu_retrieve_session(SESSION);
	plu_retrieve(session, d);
	plu_ok(plu_file_is(d->fd, d, 0xb05), "it is retrieved, works, and has the cookie");
	plu_finish(session);
	plu_check("it is ordinary");
	plu_gives(plu_remove(plu_upstream(d, plu_level(d) - 1)), 0,
		  "the bridges that were preserved are removed");
	plu_rescan();
	plu_ok(!count_moved() && !count_renumbered(), "found again, they are the same");
	plu_check("and so is the device");
}

static void move(void)
{
	plu_take_over();
	plu_check("nothing is incoming");
	plu_ok(count_moved(), "devices have other addresses");
	plu_ok(count_renumbered(), "bridges have other bus numbers");
}

static const struct plu_test test = {
	.name = "busnr",
	.stage = {
		{ .run = preserve, .plan = 1 },
		{ .run = stay, .plan = 10, .cmdline = ASSIGN_ALL },
		{ .run = move, .plan = 3, .cmdline = ASSIGN_ALL },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
