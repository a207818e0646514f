// SPDX-License-Identifier: GPL-2.0
/*
 * A session that is closed before kexec hands nothing over: the next kernel finds a
 * hand-over, but no PCI devices in it.
 */

#include <errno.h>

#include "plu.h"

#define SESSION	"session_closed"

static void close_session(void)
{
	struct plu_device *d;
	__u64 memory;
	int session;

	plu_find_devices(2);
	session = plu_session(SESSION);
	for (d = plu.dev; d < plu_end(); d++) {
		plu_set_cookie(d, 0xc105ed00 + d->token);
		plu_preserve(session, d);
	}
	plu_check("every device is outgoing");

	memory = plu_status_address("outgoing_address");
	plu_ok(plu_page_in_use(memory), "the hand-over is in memory");
	plu_close_session(session);
	plu_ok(plu_page_given_back(memory), "the memory was given back");
	plu_check("no device is outgoing");
}

static void find_nothing(void)
{
	struct plu_device *d;
	int session;

	plu_take_over();
	plu_check("no device is incoming");
	plu_gives(plu_try_retrieve_session(SESSION), -ENOENT,
		  "the session was not handed over");

	session = plu_session(SESSION);
	for (d = plu.dev; d < plu_end(); d++)
		plu_preserve(session, d);
	plu_check("every device can be preserved");
	plu_close_session(session);
	plu_check("and unpreserved");
}

static const struct plu_test test = {
	.name = "session_closed",
	.stage = {
		{ .run = close_session, .plan = 4 },
		{ .run = find_nothing, .plan = 4 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
