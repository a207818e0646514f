// SPDX-License-Identifier: GPL-2.0
/*
 * A kernel that is told liveupdate=off: devices work, and nothing is incoming,
 * whatever the previous kernel has preserved. It hands nothing over, so that the
 * kernel after it finds nothing at all.
 */

#include <errno.h>

#include <libliveupdate.h>

#include "plu.h"

#define SESSION	"off"

static void preserve(void)
{
	struct plu_device *d;
	int session;

	plu_find_devices(2);
	plu_check("no hand-over");
	session = plu_session(SESSION);
	for (d = plu.dev; d < plu_end(); d++) {
		plu_set_cookie(d, 0x0ff + d->token);
		plu_preserve(session, d);
	}
	plu_check("every device is outgoing");
}

static void be_off(void)
{
	struct plu_device *d;
	bool refused = true;

	plu_find_devices(2);
	plu.handover = "off";
	plu_check("live update is off: every device works and is ordinary");
	plu_ok(!plu_exists(LUO_DEVICE), "there is no %s", LUO_DEVICE);
	for (d = plu.dev; d < plu_end(); d++) {
		refused &= plu_command(d, "preserve") == -EOPNOTSUPP;
		plu_set_cookie(d, 0x0ff0 + d->token);
	}
	plu_ok(refused, "no device can be preserved");
	plu_check("and nothing has changed");
}

static void find_nothing(void)
{
	struct plu_device *d;
	int session;

	plu_find_devices(2);
	plu_check("no hand-over: every device works and is ordinary");
	plu_gives(plu_try_retrieve_session(SESSION), -ENOENT, "no session was handed over");
	session = plu_session(SESSION);
	for (d = plu.dev; d < plu_end(); d++)
		plu_preserve(session, d);
	plu_check("every device can be preserved");
}

static const struct plu_test test = {
	.name = "off",
	.stage = {
		{ .run = preserve, .plan = 2 },
		{ .run = be_off, .plan = 4, .cmdline = "liveupdate=off" },
		{ .run = find_nothing, .plan = 3 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
