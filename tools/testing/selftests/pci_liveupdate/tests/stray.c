// SPDX-License-Identifier: GPL-2.0
/*
 * Calls that no driver makes here, though it could. A device that has no driver cannot be
 * preserved, and a bridge neither that nor unpreserved nor finished by itself. The PCI
 * core's data can be unregistered and registered again. A driver that unpreserves its
 * device, and not the file, hands over nothing, which keeps nothing. One that disables an
 * incoming device ends its bus mastering.
 */

#include <errno.h>
#include <stdio.h>

#include "plu.h"

#define SESSION	"stray"
#define MODULE	"pci_liveupdate_stray"

static int call_by_module(const char *call, const struct plu_device *d)
{
	char parameters[64];

	snprintf(parameters, sizeof(parameters), "device=%s call=%s", d->bdf, call);

	return plu_load_module("external/" MODULE, parameters);
}

/* The first that is behind a bridge, or one that is behind another */
static struct plu_device *find_device(const struct plu_device *other)
{
	struct plu_device *d;

	for (d = plu.dev; d < plu_end(); d++)
		if (plu_is_behind_bridge(d) &&
		    (!other || plu_upstream(d, 0) != plu_upstream(other, 0)))
			return d;
	plu_skip("there is no such device");
}

static void with_bridges(struct plu_device *preserved, struct plu_device *ordinary)
{
	struct plu_device *bridge = plu_upstream(preserved, 0);

	plu_gives(call_by_module("preserve", plu_upstream(ordinary, 0)), -EINVAL,
		  "a bridge cannot be preserved by itself");
	plu_expect_warning(bridge, PLU_MSG_CANNOT_UNPRESERVE);
	plu_gives(call_by_module("unpreserve", bridge), -ENOENT,
		  "one that is preserved with a device cannot be unpreserved");
	plu_announce("%s: liveupdate: cannot finish: a bridge is finished with the devices below",
		     bridge->bdf);
	plu_gives(call_by_module("finish", bridge), 0, "nor finished");
	plu_gives(plu_unload_module(MODULE), 0, "the kernel warns");
	plu_check("nothing has changed");
}

static void preserve(void)
{
	struct plu_device *first, *second;

	plu_find_devices(2);
	first = find_device(NULL);
	second = find_device(first);
	plu_preserve(plu_session(SESSION), first);
	plu_check("one device is outgoing");
	with_bridges(first, second);

	plu_gives(plu_unbind(second), 0, "another device has no driver");
	plu_gives(call_by_module("preserve", second), -ENODEV, "it cannot be preserved");
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
	int session;

	plu_take_over();
	plu.handover = "read";
	plu.nr_incoming_files++;
	plu_check("no device was handed over, so no bus number is kept");

	session = plu_retrieve_session(SESSION);
	find_device(NULL)->incoming_session = session;
	plu_finish(session);
	plu_check("the session can be finished");

	plu_preserve(plu_session(SESSION), find_device(NULL));
	plu_check("the device is outgoing again");
}

static void disable(void)
{
	struct plu_device *d;
	int session;

	plu_take_over();
	d = find_device(NULL);
	plu_check("it is incoming");
	plu_set_bus_master(d->bdf, true);
	plu_gives(call_by_module("disable", d), 0, "its driver can disable it");
	plu_gives(plu_unload_module(MODULE), 0, "and has enabled it again");
	plu_ok(!plu_is_bus_master(d->bdf), "that has ended its bus mastering");

	session = plu_retrieve_session(SESSION);
	plu_retrieve(session, d);
	plu_finish(session);
	plu_check("it is ordinary");
}

static const struct plu_test test = {
	.name = "stray",
	.stage = {
		{ .run = preserve, .plan = 14 },
		{ .run = retrieve, .plan = 3 },
		{ .run = disable, .plan = 5 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
