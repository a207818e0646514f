// SPDX-License-Identifier: GPL-2.0
/*
 * The driver is a module: it cannot be unloaded while a file of it is preserved or
 * waits to be finished, and can before and after. The devices are recognised before
 * it is loaded.
 */

#include <errno.h>
#include <unistd.h>

#include "plu.h"

#define SESSION	"module"

static void set_bound(bool bound)
{
	struct plu_device *d;

	for (d = plu.dev; d < plu_end(); d++) {
		d->driver = bound ? PLU_DRIVER : NULL;
		d->cookie = 0;
	}
}

static void preserve(void)
{
	struct plu_device *d;
	int session;

	if (!plu_exists("/sys/module/" PLU_DRIVER "/refcnt"))
		plu_does_not_apply(PLU_DRIVER " is built in");
	plu_find_devices(1);

	plu_gives(plu_unload_module(PLU_DRIVER), 0, "the driver can be unloaded");
	set_bound(false);
	plu_check("no device has a driver");
	plu_gives(plu_load_module(PLU_DRIVER, ""), 0, "it is loaded again");
	set_bound(true);
	plu_check("every device has one");

	/* The session alone is to hold it. */
	session = plu_session(SESSION);
	for (d = plu.dev; d < plu_end(); d++) {
		plu_preserve(session, d);
		close(d->fd);
		d->fd = -1;
	}
	plu_gives(plu_unload_module(PLU_DRIVER), -EAGAIN,
		  "it cannot be unloaded while files of it are preserved");
	plu_check("every device is outgoing");

	plu_close_session(session);
	plu_gives(plu_unload_module(PLU_DRIVER), 0, "it can once the session is closed");
	set_bound(false);
	plu_check("no device has a driver, or is outgoing");
	plu_gives(plu_load_module(PLU_DRIVER, ""), 0, "it is loaded again");
	set_bound(true);

	session = plu_session(SESSION);
	for (d = plu.dev; d < plu_end(); d++) {
		plu_set_cookie(d, 0x30d + d->token);
		plu_preserve(session, d);
	}
	plu_check("every device is outgoing");
}

static void retrieve(void)
{
	struct plu_device *d;
	bool same = true;
	int session;

	/*
	 * All is known of the devices, since stage 1 has preserved each. Nothing
	 * must ask Live Update for sessions until there is a driver to take them.
	 */
	plu_find_devices(1);
	for (d = plu.dev; d < plu_end(); d++)
		d->incoming = PLU_INCOMING;
	plu_expect_found();
	plu.handover = "read";
	plu.keep_buses = true;
	set_bound(false);
	plu_check("every device is incoming, before its driver is loaded");

	plu_gives(plu_load_module(PLU_DRIVER, ""), 0, "the driver is loaded");
	plu_take_over();
	plu_check("every device is incoming, and has a driver");

	session = plu_retrieve_session(SESSION);
	for (d = plu.dev; d < plu_end(); d++) {
		plu_retrieve(session, d);
		same &= plu_file_is(d->fd, d, d->handed_cookie);
		close(d->fd);
		d->fd = -1;
	}
	plu_ok(same, "each is retrieved, works, and has the cookie");
	plu_gives(plu_unload_module(PLU_DRIVER), -EAGAIN,
		  "the driver cannot be unloaded before the session is finished");
	plu_check("every device is incoming");

	plu_finish(session);
	plu_check("every device is ordinary");
	plu_gives(plu_unload_module(PLU_DRIVER), 0, "the driver can be unloaded");
	set_bound(false);
	plu_check("no device has a driver");
	plu_gives(plu_load_module(PLU_DRIVER, ""), 0, "it is loaded again");
	set_bound(true);
	plu_check("every device is ordinary");
}

static const struct plu_test test = {
	.name = "module",
	.stage = {
		{ .run = preserve, .plan = 10 },
		{ .run = retrieve, .plan = 11, .cmdline = "plu.modules=none" },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
