// SPDX-License-Identifier: GPL-2.0
/*
 * Calls that no driver makes, though it could. A device that has no driver cannot be
 * preserved. The PCI core's data can be unregistered and registered again. A driver that
 * unpreserves its device, and not the file, hands over nothing, which keeps nothing.
 */

#include <errno.h>
#include <stdio.h>

#include "plu.h"

#define SESSION	"stray"
#define MODULE	"pci_liveupdate_stray"

static int preserve_by_module(const struct plu_device *d)
{
	char parameters[64];

	snprintf(parameters, sizeof(parameters), "device=%s", d->bdf);

	return plu_load_module("external/" MODULE, parameters);
}

static void preserve(void)
{
	struct plu_device *first, *second;

	plu_find_devices(2);
	first = &plu.dev[0];
	second = &plu.dev[1];
	plu_preserve(plu_session(SESSION), first);
	plu_check("one device is outgoing");

	plu_gives(plu_unbind(second), 0, "another has no driver");
	plu_gives(preserve_by_module(second), -ENODEV, "it cannot be preserved");
	plu_check("nothing has changed");

	plu_gives(plu_load_module("external/" MODULE, ""), 0,
		  "the PCI core's data is registered, unregistered, and registered again");
	plu_gives(plu_unload_module(MODULE), 0, "and unregistered");
	plu_check("nothing has changed");

	plu_gives(plu_command(first, "unpreserve"), 0,
		  "the first is unpreserved, but not its file");
	plu_set_outgoing(first, false);
	plu_check("no device is outgoing");
}

static void retrieve(void)
{
	struct plu_device *first;
	int session;

	plu_take_over();
	first = &plu.dev[0];
	plu.handover = "read";
	plu.nr_incoming_files++;
	plu_check("no device was handed over, so no bus number is kept");

	session = plu_retrieve_session(SESSION);
	first->incoming_session = session;
	plu_finish(session);
	plu_check("the session can be finished");
}

static const struct plu_test test = {
	.name = "stray",
	.stage = {
		{ .run = preserve, .plan = 9 },
		{ .run = retrieve, .plan = 2 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
