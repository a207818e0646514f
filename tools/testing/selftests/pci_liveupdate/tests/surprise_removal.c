// SPDX-License-Identifier: GPL-2.0
/*
 * Preserved devices that are pulled out of their slots, alone or with the switch that
 * they are behind, without anybody asking: the kernel says what was lost, and the record
 * stays until the session ends, or the kernel is replaced: it is not handed over, also
 * when that was called off at first. The next kernel has a file of such a device, but takes
 * neither it nor the bridges above for incoming. An incoming device is incoming again when
 * it is plugged in again. Of devices that are not preserved nothing is said.
 */

#include <errno.h>

#include "plu.h"

static const char *topology(void)
{
	/* The ports' own way to be plugged, not ACPI's */
	return "-global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off\n"
		"-device pcie-root-port,id=rp1,chassis=1,slot=1,addr=4\n"
		"-device edu,bus=rp1\n"
		"-device pcie-root-port,id=rp2,chassis=2,slot=2,addr=5\n"
		"-device x3130-upstream,id=up1,bus=rp2\n"
		"-device xio3130-downstream,id=dn1,bus=up1,chassis=11,slot=11\n"
		"-device edu,bus=dn1\n"
		"-device pcie-root-port,id=rp3,chassis=3,slot=3,addr=6\n"
		"-device edu,bus=rp3\n"
		"-device pcie-root-port,id=rp4,chassis=4,slot=4,addr=7\n"
		"-device edu,bus=rp4\n"
		"-device pcie-root-port,id=rp5,chassis=5,slot=5,addr=8\n"
		"-device x3130-upstream,id=up2,bus=rp5\n"
		"-device xio3130-downstream,id=dn2,bus=up2,chassis=12,slot=12\n"
		"-device edu,bus=dn2\n"
		"-device pcie-root-port,id=rp6,chassis=6,slot=6,addr=9\n"
		"-device x3130-upstream,id=up3,bus=rp6\n"
		"-device xio3130-downstream,id=dn3,bus=up3,chassis=13,slot=13\n"
		"-device xio3130-downstream,id=dn4,bus=up3,chassis=14,slot=14\n"
		"-device edu,bus=dn3 -device edu,bus=dn4";
}

/* Pulled out in the old kernel */
#define EARLY		"0000:00/04.0/00.0"
#define EARLY_BRANCH	"0000:00/05.0/00.0/00.0/00.0"
/* The same, with another one below the same bridges that stays */
#define EARLY_HALF	"0000:00/09.0/00.0/00.0/00.0"
#define STAYS		"0000:00/09.0/00.0/01.0/00.0"
/* The same, never preserved */
#define OTHER		"0000:00/06.0/00.0"
/* Pulled out in the new kernel */
#define LATE		"0000:00/07.0/00.0"
#define LATE_BRANCH	"0000:00/08.0/00.0/00.0/00.0"

#define SESSION		"surprise_removal"
#define SESSION_STAYS	"surprise_removal-stays"

static struct plu_device *root_port(const char *path)
{
	const struct plu_device *d = plu_at(path);

	return plu_upstream(d, plu_level(d) - 1);
}

/* A file that cannot be frozen calls it off, when it is settled what is handed over. */
static void call_off_jump(void)
{
	static const char left_out[] = "not handed over, as it was removed";
	struct plu_device *failing = plu_at(LATE);

	if (plu_command(failing, "fail freeze"))
		plu_bail("the driver does not know what to do");
	plu_gives(plu_reboot(), -EIO, "the next kernel is not started");
	plu_set_left_out();
	plu_ok(plu_times_said_of(plu_at(EARLY), left_out) == 1 &&
	       plu_times_said_of(plu_at(EARLY_BRANCH), left_out) == 1 &&
	       plu_times_said(left_out) == 2, "the kernel says which are not handed over");
	plu_check("these are forgotten, and nothing else");
	if (plu_command(failing, "fail nothing"))
		plu_bail("the driver does not know what to do");
}

static void kernel_a(void)
{
	int session, ends;

	plu_find_devices(7);
	ends = plu_session("ends");
	session = plu_session(SESSION);
	plu_preserve(session, plu_at(EARLY));
	plu_preserve(ends, plu_at(EARLY_BRANCH));
	plu_preserve(session, plu_at(LATE));
	plu_preserve(session, plu_at(LATE_BRANCH));
	plu_preserve(session, plu_at(EARLY_HALF));
	plu_preserve(plu_session(SESSION_STAYS), plu_at(STAYS));
	plu_check("all devices but one are outgoing");

	plu_pull_out(root_port(EARLY));
	plu_pull_out(root_port(OTHER));
	plu_pull_out(root_port(EARLY_BRANCH));
	plu_ok(plu_wait_until_empty(root_port(EARLY)), "one is pulled out");
	plu_ok(plu_wait_until_empty(root_port(OTHER)), "so is the one that is not preserved");
	plu_ok(plu_wait_until_empty(root_port(EARLY_BRANCH)),
	       "and one with what it is behind");
	plu_check("the records of the preserved ones stay");
	plu_ok(!plu_file_is(plu_at(EARLY)->fd, plu_at(EARLY), 0),
	       "a file of one that is open still is of no more use");

	call_off_jump();
	plu_close_session(ends);
	plu_check("nothing is said when the session of one of these ends");
	plu_pull_out(plu_upstream(plu_at(EARLY_HALF), 0));
	plu_ok(plu_wait_until_empty(plu_upstream(plu_at(EARLY_HALF), 0)),
	       "one more is pulled out, not the one beside it");
	plu_check("its record stays");
	plu_when_written(plu_check_written);
}

static void kernel_b(void)
{
	int session, stays;

	plu_take_over_some();
	plu_check("the devices that are there are incoming, and those that are not have no record");
	stays = plu_retrieve_session(SESSION_STAYS);
	plu_retrieve(stays, plu_at(STAYS));
	plu_finish(stays);
	plu_check("with the one that stayed, the bridges above it are finished");
	plu_ok(plu_plug_in(plu_at(EARLY), "edu,bus=rp1"), "one that was pulled out is plugged in");
	plu_check("it is ordinary");

	plu_pull_out(root_port(LATE));
	plu_pull_out(root_port(LATE_BRANCH));
	plu_ok(plu_wait_until_empty(root_port(LATE)), "an incoming device is pulled out");
	plu_ok(plu_wait_until_empty(root_port(LATE_BRANCH)),
	       "so is one with what it is behind");
	plu_check("their records stay");
	plu_ok(plu_plug_in(plu_at(LATE), "edu,bus=rp4"), "one is plugged in again");
	plu_check("it is incoming again");

	session = plu_retrieve_session(SESSION);
	plu_retrieve(session, plu_at(LATE));
	plu_gives(plu_retrieve_fd(session, plu_at(LATE_BRANCH)->token), -ENODEV,
		  "one that is not there cannot be retrieved");
	plu_at(LATE_BRANCH)->incoming_session = session;
	plu_gives(plu_retrieve_fd(session, plu_at(EARLY)->token), -ENODEV,
		  "nor can one that was not handed over, and is there");
	plu_at(EARLY)->incoming_session = session;
	plu_at(EARLY_HALF)->incoming_session = session;
	plu_finish(session);
	plu_check("nothing is left of it");
}

static const struct plu_test test = {
	.name = "surprise_removal",
	.qemu = topology,
	.stage = {
		{ .run = kernel_a, .plan = 12 },
		{ .run = kernel_b, .plan = 12 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
