// SPDX-License-Identifier: GPL-2.0
/*
 * Preserved devices that are unplugged, with the button or the switch of their slot,
 * alone or with the switch that they are behind: this is not refused, the kernel says
 * what was lost, and the record stays until the session ends, but is not handed over. An
 * incoming device is incoming again when it is plugged in again; one that was unplugged in
 * the old kernel is ordinary. Of devices that are not preserved nothing is said.
 */

#include <errno.h>
#include <unistd.h>

#include "plu.h"

static const char *topology(void)
{
	/* The ports' own way to be plugged, not ACPI's */
	return "-global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off\n"
		"-device pcie-root-port,id=rp1,chassis=1,slot=1,addr=4\n"
		"-device edu,bus=rp1,id=button\n"
		"-device pcie-root-port,id=rp2,chassis=2,slot=2,addr=5\n"
		"-device edu,bus=rp2\n"
		"-device pcie-root-port,id=rp3,chassis=3,slot=3,addr=6\n"
		"-device x3130-upstream,id=up1,bus=rp3\n"
		"-device xio3130-downstream,id=dn1,bus=up1,chassis=11,slot=11\n"
		"-device xio3130-downstream,id=dn2,bus=up1,chassis=12,slot=12\n"
		"-device edu,bus=dn1 -device pci-testdev,bus=dn2\n"
		"-device pcie-root-port,id=rp4,chassis=4,slot=4,addr=7\n"
		"-device edu,bus=rp4,id=other\n"
		"-device pcie-root-port,id=rp5,chassis=5,slot=5,addr=8\n"
		"-device edu,bus=rp5\n"
		"-device pcie-root-port,id=rp6,chassis=6,slot=6,addr=9\n"
		"-device x3130-upstream,id=up2,bus=rp6\n"
		"-device xio3130-downstream,id=dn3,bus=up2,chassis=13,slot=13\n"
		"-device xio3130-downstream,id=dn4,bus=up2,chassis=14,slot=14\n"
		"-device edu,bus=dn3 -device pci-testdev,bus=dn4\n"
		"-device edu,addr=a";
}

/* Unplugged in the old kernel */
#define BUTTON		"0000:00/04.0/00.0"
#define SWITCH		"0000:00/05.0/00.0"
#define BRANCH_1	"0000:00/06.0/00.0/00.0/00.0"
#define BRANCH_2	"0000:00/06.0/00.0/01.0/00.0"
/* The same, never preserved */
#define OTHER		"0000:00/07.0/00.0"
/* Unplugged in the new kernel */
#define LATE		"0000:00/08.0/00.0"
#define LATE_BRANCH_1	"0000:00/09.0/00.0/00.0/00.0"
#define LATE_BRANCH_2	"0000:00/09.0/00.0/01.0/00.0"
/* Never unplugged */
#define STAYS		"0000:00/0a.0"

#define SESSION		"hotunplug"
#define SESSION_AGAIN	"hotunplug-again"

static struct plu_device *root_port(const char *path)
{
	const struct plu_device *d = plu_at(path);

	return plu_upstream(d, plu_level(d) - 1);
}

static void close_files(void)
{
	struct plu_device *d;

	for (d = plu.dev; d < plu_end(); d++) {
		close(d->fd);
		d->fd = -1;
	}
}

static void kernel_a(void)
{
	int session, ends;

	plu_find_devices(9);
	ends = plu_session("ends");
	session = plu_session(SESSION);
	plu_preserve(ends, plu_at(BUTTON));
	plu_preserve(ends, plu_at(BRANCH_1));
	plu_preserve(ends, plu_at(BRANCH_2));
	plu_preserve(session, plu_at(SWITCH));
	plu_preserve(session, plu_at(LATE));
	plu_preserve(session, plu_at(LATE_BRANCH_1));
	plu_preserve(session, plu_at(LATE_BRANCH_2));
	plu_set_cookie(plu_at(STAYS), 0x57a75);
	plu_preserve(session, plu_at(STAYS));
	plu_check("all devices but one are outgoing");

	plu_press_button("button");
	plu_press_button("other");
	plu_switch_off(root_port(SWITCH));
	plu_switch_off(root_port(BRANCH_1));
	plu_ok(plu_wait_until_empty(root_port(SWITCH)),
	       "one is unplugged with the switch of its slot");
	plu_ok(plu_wait_until_empty(root_port(BRANCH_1)), "two with what they are behind");
	plu_ok(plu_wait_until_empty(root_port(BUTTON)), "and one with the button");
	plu_ok(plu_wait_until_empty(root_port(OTHER)), "and the one that is not preserved");
	plu_check("their records stay");
	plu_ok(!plu_file_is(plu_at(BUTTON)->fd, plu_at(BUTTON), 0),
	       "a file of one that is open still is of no more use");

	plu_close_session(ends);
	plu_check("records go when their session ends");
	close_files();
	plu_ok(plu_plug_in(plu_at(BUTTON), "edu,bus=rp1"), "a device is plugged in again");
	plu_check("it is ordinary");
	plu_preserve(plu_session(SESSION_AGAIN), plu_at(BUTTON));
	plu_check("it can be preserved again");
	plu_when_written(plu_check_written);
}

static void kernel_b(void)
{
	int session, again;

	plu_take_over_some();
	plu_check("the devices that are there are incoming, and one that is not has no record");
	plu_ok(plu_plug_in(plu_at(SWITCH), "edu,bus=rp2"), "it is plugged in");
	plu_check("it is ordinary");
	plu_ok(plu_plug_in(plu_at(OTHER), "edu,bus=rp4"),
	       "so is the one that was not preserved");
	plu_check("it is ordinary");

	plu_switch_off(root_port(LATE));
	plu_switch_off(root_port(LATE_BRANCH_1));
	plu_ok(plu_wait_until_empty(root_port(LATE)), "an incoming device is unplugged");
	plu_ok(plu_wait_until_empty(root_port(LATE_BRANCH_1)),
	       "and two incoming ones with what they are behind");
	plu_check("their records stay");
	plu_ok(plu_plug_in(plu_at(LATE), "edu,bus=rp5"), "one is plugged in again");
	plu_check("it is incoming again");

	again = plu_retrieve_session(SESSION_AGAIN);
	plu_retrieve(again, plu_at(BUTTON));
	plu_finish(again);
	session = plu_retrieve_session(SESSION);
	plu_retrieve(session, plu_at(LATE));
	plu_retrieve(session, plu_at(STAYS));
	plu_ok(plu_file_is(plu_at(STAYS)->fd, plu_at(STAYS), 0x57a75),
	       "one that was not unplugged is retrieved, works, and has the cookie");
	plu_gives(plu_retrieve_fd(session, plu_at(LATE_BRANCH_1)->token), -ENODEV,
		  "one that is not there cannot be retrieved");
	plu_at(LATE_BRANCH_1)->incoming_session = session;
	plu_at(LATE_BRANCH_2)->incoming_session = session;
	plu_gives(plu_retrieve_fd(session, plu_at(SWITCH)->token), -ENODEV,
		  "nor can the one that was not handed over");
	plu_at(SWITCH)->incoming_session = session;
	plu_finish(session);
	plu_check("nothing is left of it");
}

static const struct plu_test test = {
	.name = "hotunplug",
	.qemu = topology,
	.stage = {
		{ .run = kernel_a, .plan = 11 },
		{ .run = kernel_b, .plan = 14 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
