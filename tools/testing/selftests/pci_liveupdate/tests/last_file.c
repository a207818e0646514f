// SPDX-License-Identifier: GPL-2.0
/*
 * When the last file is finished, nobody is left who could take back what is incoming still:
 * a device that was preserved without a file, and writes to memory, and one that was plugged
 * in where a preserved switch was. Each is stopped, named, and ordinary from then on, and
 * the hand-over has an end. What somebody uses in place of what was there was stopped before,
 * and works on. That waits for no lock: a device that somebody else has locked is
 * stopped, but not reset.
 */

#include <stdio.h>
#include <string.h>

#include "plu.h"
#include "stops.h"

#define SESSION	"last_file"

static const char *topology(void)
{
	/* The ports' own way to be plugged, not ACPI's */
	return "-global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off\n"
		STOPS_TOPOLOGY
		"-device pcie-root-port,id=rp2,chassis=2,slot=2,addr=8\n"
		"-device x3130-upstream,id=up,bus=rp2\n"
		"-device xio3130-downstream,id=dn,bus=up,chassis=11,slot=11\n"
		"-device edu,bus=dn\n"
		"-device edu,addr=9";
}

#define BEHIND_SWITCH	"0000:00/08.0/00.0/00.0/00.0"
#define STAYS		"0000:00/09.0"
#define MODULE		"pci_liveupdate_lock"

static void preserve(void)
{
	struct plu_device *d;
	int session;

	plu_find_devices(5);
	session = plu_session(SESSION);
	prepare_to_write(session);
	plu_preserve(session, plu_at(STAYS));
	plu_preserve(session, plu_at(BEHIND_SWITCH));
	d = plu_at(RESETTABLE);
	plu_gives(plu_command(d, "preserve"), 0, "a USB controller is preserved without a file");
	plu_set_outgoing(d, true);
	d = plu_at(PLAIN);
	plu_gives(plu_command(d, "preserve"), 0, "so is another");
	plu_set_outgoing(d, true);
	plu_check("four devices are outgoing");
}

static bool is_there(void *d)
{
	return plu_exists(plu_sysfs(d, "config"));
}

/* Nothing of this is in the model. */
static struct plu_device *replace_switch(void)
{
	struct plu_device *d = plu_at(BEHIND_SWITCH);
	struct plu_device *port = plu_upstream(d, plu_level(d) - 1);
	static struct plu_device edu;

	memcpy(edu.bdf, plu_upstream(d, plu_level(d) - 2)->bdf, PLU_BDF_SIZE);
	plu_switch_off(port);
	plu_ok(plu_wait_until_empty(port), "the switch is unplugged");
	plu_check("its record stays");
	plu_monitor("device_add edu,bus=rp2");
	plu_ok(plu_wait_for(is_there, &edu) && plu_is_incoming(&edu),
	       "a device that is plugged in there is incoming");

	return &edu;
}

static void finish(void)
{
	static const char left[] = "was not taken back, and no file is left by which it could be";
	struct plu_device *edu;
	char parameters[64];
	int session;

	plu_take_over();
	/* Two of the devices have no file. */
	plu.nr_incoming_files -= 2;
	session = plu_retrieve_session(SESSION);
	take_memory(session);
	plu_check("all are incoming");
	plu_ok(resettable_writes() && plain_writes(), "two of them write to memory");
	edu = replace_switch();

	plu_set_bus_master(edu->bdf, true);
	plu_retrieve(session, plu_at(STAYS));
	snprintf(parameters, sizeof(parameters), "device=%s", plu_at(RESETTABLE)->bdf);
	plu_gives(plu_load_module("external/" MODULE, parameters), 0, "one is locked");
	plu_finish(session);
	plu_gives(plu_unload_module(MODULE), 0, "the session can be finished all the same");
	plu_ok(!strcmp(plu_status("handover"), "finished") && plu_is_consistent(),
	       "the hand-over ends with its last file");
	plu_ok(!resettable_writes() && !plain_writes(), "nothing writes to memory any more");
	plu_ok(times_said_of(RESETTABLE, left) == 1 && times_said_of(PLAIN, left) == 1 &&
	       plu_times_said(left) == 3, "the kernel names what was left, and no others");
	plu_ok(times_said_of(RESETTABLE, "stopped, but not reset: ") == 1 &&
	       times_said_of(PLAIN, "stopped, but not reset: ") == 1 &&
	       !times_said_of(STAYS, "stopped"), "and says that they were stopped");
	plu_ok(!plu_is_incoming(edu) && !plu_is_incoming(plu_at(PLAIN)) &&
	       !plu_is_incoming(plu_at(RESETTABLE)), "they are ordinary");
	plu_ok(plu_is_bus_master(edu->bdf), "and the one that was plugged in can be in use");
}

static const struct plu_test test = {
	.name = "last_file",
	.qemu = topology,
	.also = uhci_ids,
	.stage = {
		{ .run = preserve, .plan = 3, .before_jump = write_on },
		{ .run = finish, .plan = 13 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
