// SPDX-License-Identifier: GPL-2.0
/*
 * Preserved devices that are pulled out of their slots, alone or with the switch that
 * they are behind, without anybody asking: the kernel says what was lost, the record
 * stays until the session ends, and an incoming device is incoming again when it is
 * plugged in again. Of devices that are not preserved nothing is said.
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
		"-device edu,bus=dn2";
}

/* Pulled out in the old kernel */
#define EARLY		"0000:00/04.0/00.0"
#define EARLY_BRANCH	"0000:00/05.0/00.0/00.0/00.0"
/* The same, never preserved */
#define OTHER		"0000:00/06.0/00.0"
/* Pulled out in the new kernel */
#define LATE		"0000:00/07.0/00.0"
#define LATE_BRANCH	"0000:00/08.0/00.0/00.0/00.0"

#define SESSION		"surprise_removal"

static struct plu_device *root_port(const char *path)
{
	const struct plu_device *d = plu_at(path);

	return plu_upstream(d, plu_level(d) - 1);
}

static void kernel_a(void)
{
	int session, ends;

	plu_find_devices(5);
	ends = plu_session("ends");
	session = plu_session(SESSION);
	plu_preserve(session, plu_at(EARLY));
	plu_preserve(ends, plu_at(EARLY_BRANCH));
	plu_preserve(session, plu_at(LATE));
	plu_preserve(session, plu_at(LATE_BRANCH));
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
	plu_close_session(ends);
	plu_check("records go when their session ends");
}

static void kernel_b(void)
{
	int session;
	__u64 memory;

	plu_take_over_some();
	plu_check("the devices that are there are incoming, and one that is not has its record");
	plu_ok(plu_plug_in(plu_at(EARLY), "edu,bus=rp1"), "it is plugged in");
	plu_check("it is incoming");

	plu_pull_out(root_port(LATE));
	plu_pull_out(root_port(LATE_BRANCH));
	plu_ok(plu_wait_until_empty(root_port(LATE)), "an incoming device is pulled out");
	plu_ok(plu_wait_until_empty(root_port(LATE_BRANCH)),
	       "so is one with what it is behind");
	plu_check("their records stay");
	plu_ok(plu_plug_in(plu_at(LATE), "edu,bus=rp4"), "one is plugged in again");
	plu_check("it is incoming again");

	session = plu_retrieve_session(SESSION);
	plu_retrieve(session, plu_at(EARLY));
	plu_retrieve(session, plu_at(LATE));
	plu_gives(plu_retrieve_fd(session, plu_at(LATE_BRANCH)->token), -ENODEV,
		  "one that is not there cannot be retrieved");
	plu_at(LATE_BRANCH)->incoming_session = session;

	memory = plu_status_address("incoming_address");
	plu_ok(plu_page_in_use(memory), "the hand-over is in memory");
	plu_finish(session);
	plu_ok(plu_page_given_back(memory), "the memory was given back");
	plu_check("nothing is left of it");
}

static const struct plu_test test = {
	.name = "surprise_removal",
	.qemu = topology,
	.stage = {
		{ .run = kernel_a, .plan = 7 },
		{ .run = kernel_b, .plan = 12 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
