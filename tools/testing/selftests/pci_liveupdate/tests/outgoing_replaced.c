// SPDX-License-Identifier: GPL-2.0
/*
 * A device is preserved and removed, and the one that is found in its place is preserved as
 * well: the next kernel gets one record, and can read what it is handed.
 */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <libliveupdate.h>

#include "plu.h"

#define REMOVED	"outgoing_replaced-removed"
#define FOUND	"outgoing_replaced-found"
#define TOKEN	0xf0d

static bool can_be_opened(void *arg)
{
	struct plu_device *d = arg;

	d->fd = plu_open(d);

	return d->fd >= 0;
}

static void preserve_both(void)
{
	char arguments[64];
	struct plu_device *d;

	plu_find_devices(1);
	d = &plu.dev[0];
	plu_preserve(plu_session(REMOVED), d);
	snprintf(arguments, sizeof(arguments), "device=%s", d->bdf);
	plu_gives(plu_load_module("external/pci_liveupdate_remove", arguments), 0,
		  "a device is removed that is preserved");
	plu_ok(!can_be_opened(d), "nobody can have it");
	plu_gives(plu_write_file("/sys/bus/pci/rescan", "1"), 0, "devices are looked for");
	plu_ok(plu_wait_for(can_be_opened, d), "one is found in its place");
	plu_gives(plu_try_preserve(plu_session(FOUND), d->fd, TOKEN), 0,
		  "and preserved as well");
}

static void retrieve(void)
{
	int session = plu_retrieve_session(FOUND);
	int fd = plu_retrieve_fd(session, TOKEN);

	plu_ok(fd >= 0, "the next kernel has it: %s", fd < 0 ? strerror(-fd) : "its file");
	close(fd);
	plu_gives(luo_session_finish(session), 0, "it can be finished");
}

static const struct plu_test test = {
	.name = "outgoing_replaced",
	.stage = {
		{ .run = preserve_both, .plan = 5 },
		{ .run = retrieve, .plan = 2 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
