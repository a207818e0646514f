// SPDX-License-Identifier: GPL-2.0
/*
 * Once the machine is on its way to the next kernel, it is settled what is preserved:
 * a driver that tries to unpreserve a device then, or to preserve another one, cannot
 * do it any more. Before, it could.
 */

#include <errno.h>
#include <stdlib.h>

#include "plu.h"

#define SESSION	"freeze"
#define COOKIE	0xf4ee2e

static void preserve(void)
{
	struct plu_device *d, *other;

	plu_find_devices(2);
	d = &plu.dev[0];
	other = &plu.dev[1];
	plu_set_cookie(d, COOKIE);
	plu_preserve(plu_session(SESSION), d);
	plu_check("a device is outgoing");

	plu_gives(plu_command(other, "preserve"), 0, "the driver can preserve another one");
	plu_set_outgoing(other, true);
	plu_check("both are outgoing");
	plu_gives(plu_command(other, "unpreserve"), 0, "and unpreserve it");
	plu_set_outgoing(other, false);
	plu_check("one is outgoing");

	/* This is after the last line of this stage, on the way to the next kernel. */
	plu_gives(plu_command(d, "freeze try"), 0, "it is going to try both once more");
	plu_announce("%s: liveupdate: cannot unpreserve: the next kernel is on its way",
		     d->bdf);
	plu_announce("%s: liveupdate: cannot be preserved: the next kernel is on its way",
		     other->bdf);
}

/* What a call has given when the file of a device was frozen. */
static int tried(const struct plu_device *d, const char *call)
{
	char text[512], value[16];
	int ret;

	ret = plu_read_fd(d->fd, text, sizeof(text));
	if (ret < 0 || !plu_value(text, call, value, sizeof(value)))
		plu_bail("%s: cannot read '%s':\n%s", d->bdf, call, text);

	return atoi(value);
}

static void retrieve(void)
{
	struct plu_device *d;
	int session;

	plu_take_over();
	d = &plu.dev[0];
	plu_check("one device is incoming, the other is not");

	session = plu_retrieve_session(SESSION);
	plu_retrieve(session, d);
	plu_ok(plu_file_is(d->fd, d, COOKIE), "it is retrieved, works, and has the cookie");
	plu_gives(tried(d, "tried_unpreserve "), -EBUSY, "it could not be unpreserved");
	plu_gives(tried(d, "tried_preserve "), -EBUSY, "the other could not be preserved");
	plu_finish(session);
	plu_check("both are ordinary");
}

static const struct plu_test test = {
	.name = "freeze",
	.stage = {
		{ .run = preserve, .plan = 6 },
		{ .run = retrieve, .plan = 5 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
