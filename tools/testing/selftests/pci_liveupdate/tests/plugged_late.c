// SPDX-License-Identifier: GPL-2.0
/*
 * Devices that were handed over are not there when the next kernel starts, and come when it is
 * up, and has removed another one and found it again. They are incoming like any other, and
 * nobody stops them for that. But one can't be set up. It is found to be a bus master, so it is
 * stopped; its record stays, and it is incoming when setting it up works, as one that was
 * stopped.
 */

#include <stdio.h>

#include <linux/pci_regs.h>

#include "plu.h"

static const char *topology(void)
{
	/* The port's own way to be plugged, not ACPI's */
	return "-global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off\n"
		"-device edu,addr=3\n"
		"-device pcie-root-port,id=rp1,chassis=1,slot=1,addr=4 -device edu,bus=rp1\n"
		"-device pcie-root-port,id=rp2,chassis=2,slot=2,addr=5 -device edu,bus=rp2";
}

#define STAYS		"0000:00/03.0"
#define LATE		"0000:00/04.0/00.0"
#define GOOD		"0000:00/05.0/00.0"
#define PORT		"0000:00:04.0"
#define GOOD_PORT	"0000:00:05.0"
#define STOPPED		"0000:01:00.0: liveupdate: found to be a bus master"

#define SESSION		"plugged_late"
#define MODULE		"pci_liveupdate_fake"

/* of header */
#define UNKNOWN_TYPE	0x7e

static void pull_out(void)
{
	static const struct plu_device ports[] = { { .bdf = PORT }, { .bdf = GOOD_PORT } };

	plu_pull_out_unnoticed(&ports[0]);
	plu_pull_out_unnoticed(&ports[1]);
}

static void preserve(void)
{
	int session;

	plu_find_devices(3);
	session = plu_session(SESSION);
	plu_preserve(session, plu_at(STAYS));
	plu_preserve(session, plu_at(LATE));
	plu_preserve(session, plu_at(GOOD));
	plu_check("the devices are outgoing");
}

static bool is_stopped(void *d)
{
	plu_read_log();

	return plu_times_said(STOPPED);
}

/* As it could not be set up, the port switches the slot off, for which QEMU unplugs it. */
static bool is_there(void *d)
{
	if (!plu_exists(plu_node(d)))
		plu_monitor("device_add edu,bus=rp1");

	return plu_exists(plu_node(d));
}

static void retrieve(void)
{
	struct plu_device *late;
	char parameters[80];
	int session;

	plu_take_over_some();
	late = plu_at(LATE);
	plu_ok(late->absent && plu_at(GOOD)->absent, "two are not there");
	plu_check("the other is incoming");
	plu_gives(plu_remove(plu_at(STAYS)), 0, "it is removed");
	/* The model expects all to be found. */
	plu_gives(plu_write_file("/sys/bus/pci/rescan", "1\n"), 0, "and found again");
	plu_set_present(plu_at(STAYS));
	plu_ok(plu_plug_in(plu_at(GOOD), "edu,bus=rp2"), "one is plugged in");
	plu_check("it is incoming, and was not stopped");

	snprintf(parameters, sizeof(parameters), "device=%s offset=%u size=1 value=%u late=1",
		 late->bdf, PCI_HEADER_TYPE, UNKNOWN_TYPE);
	plu_gives(plu_load_module("external/" MODULE, parameters), 0,
		  "its header is made one of an unknown type");
	plu_monitor("device_add edu,bus=rp1");
	plu_ok(plu_wait_for(is_stopped, late), "it is plugged in, a bus master, and stopped");
	plu_ok(!plu_exists(plu_sysfs(late, "vendor")), "it cannot be set up");
	plu_gives(plu_unload_module(MODULE), 0, "its header is made a good one");
	plu_ok(plu_wait_for(is_there, late), "it is plugged in once more");
	/* It was found to be incoming before. */
	late->messages[PLU_MSG_PRESERVED]++;
	late->stopped = true;
	late->driver = PLU_DRIVER;
	late->vendor = plu_at(GOOD)->vendor;
	late->device = plu_at(GOOD)->device;
	plu_set_present(late);
	plu_check("it is incoming, and was stopped");
	plu_ok(!plu_is_bus_master(late->bdf), "and is no bus master");

	session = plu_retrieve_session(SESSION);
	plu_retrieve(session, plu_at(STAYS));
	plu_retrieve(session, late);
	plu_retrieve(session, plu_at(GOOD));
	plu_finish(session);
	plu_check("all are ordinary");
}

static const struct plu_test test = {
	.name = "plugged_late",
	.qemu = topology,
	.stage = {
		{ .run = preserve, .plan = 1, .before_jump = pull_out },
		{ .run = retrieve, .plan = 14 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
