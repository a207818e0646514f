// SPDX-License-Identifier: GPL-2.0
/*
 * A device that is preserved for the next kernel keeps its driver: userspace can
 * neither unbind nor remove it. One that the previous kernel has preserved can lose
 * its driver, and is incoming when it has one again.
 */

#include <errno.h>
#include <unistd.h>

#include "plu.h"

#define SESSION	"unbind"

/* Removing a bridge removes all that is behind it. */
static void behind_bridge(struct plu_device *d)
{
	int session;

	if (!plu_is_behind_bridge(d))
		plu_skip("%s is not behind a bridge", d->bdf);

	session = plu_session("unbind-bridge");
	plu_preserve(session, d);
	plu_check("a device behind a bridge is outgoing");
	plu_gives(plu_remove_bridge(d), -EBUSY, "the bridge above it cannot be removed");
	plu_check("the device is outgoing, as it was");

	plu_close_session(session);
	close(d->fd);
	d->fd = -1;
	plu_gives(plu_remove_bridge(d), 0, "it can when the device is not preserved");
	plu_check("the device went with it");
	plu_rescan();
	plu_check("both come back");
}

static void preserve(void)
{
	struct plu_device *d, *other;
	int session;

	plu_find_devices(2);
	d = &plu.dev[0];
	other = &plu.dev[1];
	plu_set_cookie(d, 0x0b0d);
	plu_set_cookie(other, 0x0bad);

	session = plu_session(SESSION);
	plu_preserve(session, d);
	plu_check("one device is outgoing");
	plu_gives(plu_unbind(d), -EBUSY, "its driver cannot be unbound");
	plu_gives(plu_remove(d), -EBUSY, "it cannot be removed");
	plu_gives(plu_unbind(other), 0, "another's can");
	plu_check("the device is outgoing, as it was, and the other has no driver");
	plu_gives(plu_bind(other, PLU_DRIVER), 0, "the other's is bound again");

	plu_close_session(session);
	plu_check("the device is ordinary");
	plu_gives(plu_unbind(d), 0, "its driver can be unbound");
	plu_check("it has none");
	plu_ok(!plu_file_is(d->fd, d, 0),
	       "a file of it that is open still is of no more use");
	plu_gives(plu_bind(d, PLU_DRIVER), 0, "its driver is bound again");
	plu_ok(!plu_file_is(d->fd, d, 0),
	       "which does not bring that file back");
	close(d->fd);
	d->fd = -1;
	plu_check("it is ordinary");

	behind_bridge(other);

	plu_set_cookie(d, 0x0b0d);
	session = plu_session(SESSION);
	plu_preserve(session, d);
	plu_check("it is outgoing again");
}

static void retrieve(void)
{
	struct plu_device *d;
	int session;

	plu_take_over();
	d = &plu.dev[0];
	plu_ok(d->incoming == PLU_INCOMING, "the device was handed over");
	plu_check("it is incoming");

	plu_gives(plu_unbind(d), 0, "its driver can be unbound");
	plu_check("it is incoming, without a driver");
	plu_gives(plu_bind(d, PLU_DRIVER), 0, "its driver is bound again");
	plu_check("it is incoming, with one");

	session = plu_retrieve_session(SESSION);
	plu_retrieve(session, d);
	plu_ok(plu_file_is(d->fd, d, 0x0b0d), "it is retrieved, works, and has the cookie");
	plu_finish(session);
	plu_check("it is ordinary");
	plu_gives(plu_unbind(d), 0, "its driver can be unbound");
	plu_check("it is ordinary, without a driver");
}

static const struct plu_test test = {
	.name = "unbind",
	.stage = {
		{ .run = preserve, .plan = 20 },
		{ .run = retrieve, .plan = 10 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
