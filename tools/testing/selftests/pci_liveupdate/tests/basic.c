// SPDX-License-Identifier: GPL-2.0
/*
 * The life of a preserved device from beginning to end: preserved, handed over by
 * kexec, recognised, retrieved, finished, and an ordinary device again.
 */

#include <unistd.h>

#include "plu.h"

#define SESSION	"basic"

static void preserve(void)
{
	struct plu_device *d;
	int session;

	plu_find_devices(2);
	for (d = plu.dev; d < plu_end(); d++)
		plu_set_cookie(d, 0xbad);
	plu_check("nothing is preserved");

	session = plu_session(SESSION);
	for (d = plu.dev; d < plu_end(); d++)
		plu_preserve(session, d);
	plu_check("every device is outgoing");

	/* It goes on working, and what counts is how it is at the time of kexec. */
	for (d = plu.dev; d < plu_end(); d++)
		plu_set_cookie(d, 0xba51c00000000000 + d->token);
	plu_check("and can be used still");
}

static void retrieve(void)
{
	struct plu_device *d;
	bool same = true;
	int session;

	plu_take_over();
	plu_check("every device is incoming");

	session = plu_retrieve_session(SESSION);
	for (d = plu.dev; d < plu_end(); d++) {
		plu_retrieve(session, d);
		same &= plu_file_is(d->fd, d, d->handed_cookie);
	}
	plu_ok(same, "each file is for its device, which works, and has the cookie");
	plu_check("the devices are incoming until they are finished");

	plu_finish(session);
	plu_check("every device is an ordinary one");

	same = true;
	for (d = plu.dev; d < plu_end(); d++)
		same &= plu_file_is(d->fd, d, d->cookie);
	plu_ok(same, "the retrieved files go on working");

	plu_close_session(session);
	for (d = plu.dev; d < plu_end(); d++)
		close(d->fd);
	plu_check("nothing changes when the files and the session are closed");
}

static const struct plu_test test = {
	.name = "basic",
	.stage = {
		{ .run = preserve, .plan = 3 },
		{ .run = retrieve, .plan = 6 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
