// SPDX-License-Identifier: GPL-2.0
/*
 * A driver that has a file of an incoming device, which was removed, finishes it all the
 * same: its record, and those of the bridges above it; and the device that was found
 * again in the meantime, too, but only once. So does one that has nothing of it but its
 * address.
 */

#include <stdio.h>
#include <unistd.h>

#include "plu.h"

#define SESSION	"removed_finish"
#define OTHER	"removed_finish-other"
#define MODULE	"pci_liveupdate_stray"

static const char *topology(void)
{
	return "-device pcie-root-port,id=rp1,chassis=1,addr=4 -device edu,bus=rp1\n"
		"-device pcie-root-port,id=rp2,chassis=2,addr=5 -device edu,bus=rp2\n"
		"-device pcie-root-port,id=rp3,chassis=3,addr=6 -device edu,bus=rp3\n"
		"-device edu,addr=7";
}

#define AWAY	"0000:00/04.0/00.0"
#define AGAIN	"0000:00/05.0/00.0"
#define ABSENT	"0000:00/06.0/00.0"
#define STAYS	"0000:00/07.0"

static void preserve(void)
{
	int session;

	plu_find_devices(4);
	session = plu_session(SESSION);
	plu_preserve(session, plu_at(AWAY));
	plu_preserve(session, plu_at(AGAIN));
	plu_preserve(session, plu_at(ABSENT));
	plu_preserve(plu_session(OTHER), plu_at(STAYS));
	plu_check("every device is outgoing");
}

/* By a file that is open since before it was removed. */
static void finish_by(int fd, struct plu_device *d)
{
	plu_gives(plu_write_fd(fd, "finish\n"), 0, "its driver finishes it");
	plu_set_finished(d);
}

static int finish_address(const struct plu_device *d)
{
	char parameters[64];
	int ret;

	snprintf(parameters, sizeof(parameters), "device=%s call=absent", d->bdf);
	ret = plu_load_module("external/" MODULE, parameters);

	return ret ?: plu_unload_module(MODULE);
}

static void finish(void)
{
	struct plu_device *d;
	int session;

	plu_take_over();
	session = plu_retrieve_session(SESSION);
	d = plu_at(AWAY);
	plu_retrieve(session, d);
	plu_retrieve(session, plu_at(AGAIN));
	plu_check("all are incoming, and two have been retrieved");

	plu_gives(plu_remove(d), 0, "one of them is removed");
	plu_check("its record stays");
	finish_by(d->fd, d);
	plu_check("it is finished, and so is the bridge above it");
	plu_rescan();
	plu_check("it is ordinary when it is found again");

	d = plu_at(AGAIN);
	plu_gives(plu_remove(d), 0, "the other is removed");
	plu_rescan();
	plu_check("it is incoming when it is found again");
	finish_by(d->fd, d);
	plu_check("it is ordinary");
	plu_expect_warning(d, PLU_MSG_CANNOT_FINISH);
	plu_gives(plu_command(d, "finish"), 0, "it is finished once more");
	plu_check("the kernel has warned, and done nothing else");

	d = plu_at(ABSENT);
	plu_gives(plu_remove(d), 0, "a third one is removed");
	plu_gives(finish_address(d), 0, "it is finished by its address");
	plu_set_finished(d);
	/* There is no device in whose name the kernel could say so. */
	d->messages[PLU_MSG_FINISHED]--;
	plu_check("so is the bridge above it");
	plu_gives(finish_address(d), 0, "it is once more");
	plu_check("that does nothing");
	plu_rescan();
	plu_check("it is ordinary when it is found again");
	plu_gives(finish_address(plu_at(STAYS)), 0, "one that is there is finished like that");
	plu_set_finished(plu_at(STAYS));
	plu_check("it is ordinary");

	for (d = plu.dev; d < plu_end(); d++)
		close(d->fd);
}

static const struct plu_test test = {
	.name = "removed_finish",
	.qemu = topology,
	.stage = {
		{ .run = preserve, .plan = 1 },
		{ .run = finish, .plan = 20 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
