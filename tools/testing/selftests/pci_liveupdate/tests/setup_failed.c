// SPDX-License-Identifier: GPL-2.0
/*
 * A device that is incoming and cannot be set up: it is stopped, and not there, its record
 * stays, and it is incoming when setting it up works again. When all is finished, nothing is
 * left of the hand-over.
 */

#include <stdio.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include "plu.h"

#define SESSION	"setup_failed"
#define MODULE	"pci_liveupdate_fake"

/* of header */
#define UNKNOWN_TYPE	0x7e

static void preserve(void)
{
	struct plu_device *d;
	int session;

	plu_find_devices(2);
	session = plu_session(SESSION);
	for (d = plu.dev; d < plu_end(); d++) {
		plu_set_cookie(d, 0xfa11ed << 8 | d->token);
		plu_preserve(session, d);
	}
	plu_check("every device is outgoing");
}

/*
 * Remove a device, and let setting it up fail when it is found again, as a bus master that
 * it was not any more.
 */
static void fail_to_set_up(struct plu_device *d)
{
	char parameters[80], stopped[96];

	plu_gives(plu_remove(d), 0, "an incoming device is removed");
	snprintf(parameters, sizeof(parameters), "device=%s offset=%u size=1 value=%u master=1",
		 d->bdf, PCI_HEADER_TYPE, UNKNOWN_TYPE);
	snprintf(stopped, sizeof(stopped), "%s: liveupdate: found to be a bus master", d->bdf);
	plu_gives(plu_load_module("external/" MODULE, parameters), 0,
		  "its header is made one of an unknown type");
	plu_rescan_in_vain();
	plu_ok(!plu_exists(plu_sysfs(d, "vendor")), "it cannot be set up");
	plu_check("it was found to be incoming before that, and its record stays");
	plu_ok(plu_times_said(stopped) == 1, "it was stopped");
	plu_gives(plu_unload_module(MODULE), 0, "its header is made a good one");
}

static void retrieve(void)
{
	struct plu_device *d, *other;
	bool same = true;
	int session;

	plu_take_over();
	d = &plu.dev[0];
	other = &plu.dev[1];
	plu_check("every device is incoming");

	fail_to_set_up(d);
	plu_rescan();
	plu_check("it is incoming again");
	plu_ok(!plu_is_bus_master(d->bdf), "and no bus master");

	session = plu_retrieve_session(SESSION);
	for (d = plu.dev; d < plu_end(); d++) {
		plu_retrieve(session, d);
		same &= plu_file_is(d->fd, d, d->handed_cookie);
	}
	plu_ok(same, "each is retrieved, works, and has the cookie");

	/* This one is away while the hand-over ends, but for a file of it. */
	fail_to_set_up(other);
	close(other->fd);
	plu_finish(session);
	plu_check("all others are ordinary, and nothing is left");
	plu_rescan();
	plu_check("it is an ordinary device when it is found again");
}

static const struct plu_test test = {
	.name = "setup_failed",
	.stage = {
		{ .run = preserve, .plan = 1 },
		{ .run = retrieve, .plan = 18 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
