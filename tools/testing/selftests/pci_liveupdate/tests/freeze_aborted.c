// SPDX-License-Identifier: GPL-2.0
/*
 * A file that cannot be frozen calls off the way to the next kernel: what was settled
 * is open again, devices can be preserved and unpreserved, and work. A second attempt
 * gets through, and the next kernel knows nothing of the first one.
 */

#include <errno.h>
#include <stdio.h>

#include "plu.h"

#define SESSION	"freeze_aborted"

/* Whose file tries what is settled, and whose file then fails */
static struct plu_device *trying, *failing;

static unsigned int times_said(const struct plu_device *d, const char *text)
{
	char what[128];

	snprintf(what, sizeof(what), "%s: liveupdate: %s: the next kernel is on its way",
		 d->bdf, text);

	return plu_times_said(what);
}

static void abort_it(struct plu_device *other)
{
	unsigned int preserve = times_said(other, "cannot be preserved");
	unsigned int unpreserve = times_said(trying, "cannot unpreserve");

	plu_announce("%s: liveupdate: cannot unpreserve: the next kernel", trying->bdf);
	plu_announce("%s: liveupdate: cannot be preserved: the next kernel", other->bdf);
	plu_gives(plu_reboot(), -EIO, "the next kernel is not started");
	plu_ok(times_said(trying, "cannot unpreserve") == unpreserve + 1 &&
	       times_said(other, "cannot be preserved") == preserve + 1,
	       "it was settled what is preserved");
	plu_check("nothing is settled, and all is as it was");
}

static void change_everything(int session, struct plu_device *other)
{
	int second;

	second = plu_session("freeze_aborted-2");
	plu_preserve(second, other);
	plu_check("another device can be preserved");
	plu_close_session(second);
	plu_check("and unpreserved");
	plu_ok(plu_file_is(trying->fd, trying, 1) && plu_file_is(failing->fd, failing, 2),
	       "the files work");

	plu_close_session(session);
	plu_check("so can be the devices that were to be handed over");
}

static int preserve_both(void)
{
	int session = plu_session(SESSION);

	/* In this order they are frozen. */
	plu_preserve(session, trying);
	plu_preserve(session, failing);
	if (plu_command(trying, "freeze try") || plu_command(failing, "fail freeze"))
		plu_bail("the driver does not know what to do");

	return session;
}

static void preserve(void)
{
	struct plu_device *other;
	int session;

	plu_find_devices(3);
	trying = &plu.dev[0];
	failing = &plu.dev[1];
	other = &plu.dev[2];
	plu_set_cookie(trying, 1);
	plu_set_cookie(failing, 2);

	session = preserve_both();
	plu_check("two devices are outgoing");
	abort_it(other);
	change_everything(session, other);

	session = preserve_both();
	plu_check("two devices are outgoing again");
	abort_it(other);

	plu_gives(plu_command(trying, "freeze normal"), 0, "one file is to do nothing else");
	plu_gives(plu_command(failing, "fail nothing"), 0, "and the other not to fail");
}

static void retrieve(void)
{
	int session;

	plu_take_over();
	trying = &plu.dev[0];
	failing = &plu.dev[1];
	plu_check("the two devices are incoming, no other");

	session = plu_retrieve_session(SESSION);
	plu_retrieve(session, trying);
	plu_retrieve(session, failing);
	plu_ok(plu_file_is(trying->fd, trying, 1) && plu_file_is(failing->fd, failing, 2),
	       "they are retrieved, work, and have the cookies");
	plu_finish(session);
	plu_check("every device is ordinary");
}

static const struct plu_test test = {
	.name = "freeze_aborted",
	.stage = {
		{ .run = preserve, .plan = 14 },
		{ .run = retrieve, .plan = 3 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
