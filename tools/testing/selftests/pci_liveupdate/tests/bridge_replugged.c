// SPDX-License-Identifier: GPL-2.0
/*
 * An incoming bridge that is unplugged and plugged in again has no bus numbers, but it
 * has not lost them on the way: it was without power, so nothing below it is at work. It
 * gets the numbers that are free, and the device behind it is incoming again. The same
 * with a bridge and a device that were not preserved, which are ordinary.
 */

#include "plu.h"

#define SESSION	"bridge_replugged"

static const char *topology(void)
{
	/* The ports' own way to be plugged, not ACPI's */
	return "-global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off\n"
		"-device pcie-root-port,id=rp1,chassis=1,slot=1,addr=4\n"
		"-device pcie-pci-bridge,id=pb1,bus=rp1 -device edu,bus=pb1,addr=1\n"
		"-device pcie-root-port,id=rp2,chassis=2,slot=2,addr=5\n"
		"-device pcie-pci-bridge,id=pb2,bus=rp2 -device edu,bus=pb2,addr=1";
}

#define KEPT	"0000:00/04.0/00.0/01.0"
#define OTHER	"0000:00/05.0/00.0/01.0"

static void preserve(void)
{
	plu_find_devices(2);
	plu_set_cookie(plu_at(KEPT), 0xb41d6e);
	plu_preserve(plu_session(SESSION), plu_at(KEPT));
	plu_check("one device is outgoing, with two bridges");
}

static bool is_there(void *d)
{
	return plu_exists(plu_sysfs(d, "config"));
}

static void replug(const char *path, const char *port)
{
	struct plu_device *d = plu_at(path);
	struct plu_device *bridge = plu_upstream(d, 0);

	plu_switch_off(plu_upstream(d, 1));
	plu_ok(plu_wait_until_empty(plu_upstream(d, 1)), "a bridge is unplugged");
	plu_check("and so is the device behind it");

	plu_monitor("device_add pcie-pci-bridge,id=%s-bridge,bus=%s", port, port);
	plu_ok(plu_wait_for(is_there, bridge), "a bridge is plugged in");
	/* It has nobody who looks for what is plugged in behind it. */
	plu_monitor("device_add edu,bus=%s-bridge,addr=1", port);
	plu_rescan();
}

static void retrieve(void)
{
	unsigned int lost;
	int session;

	plu_take_over();
	plu_check("the device is incoming, and so are its bridges");
	lost = plu_times_said("its bus numbers are lost");

	replug(KEPT, "rp1");
	plu_check("both are incoming again");
	replug(OTHER, "rp2");
	plu_check("those that were not preserved are ordinary");
	plu_ok(plu_times_said("its bus numbers are lost") == lost,
	       "the kernel does not regard bus numbers as lost");

	session = plu_retrieve_session(SESSION);
	plu_retrieve(session, plu_at(KEPT));
	plu_ok(plu_file_is(plu_at(KEPT)->fd, plu_at(KEPT), 0xb41d6e),
	       "it is retrieved, works, and has the cookie");
	plu_finish(session);
	plu_check("it is ordinary");
}

static const struct plu_test test = {
	.name = "bridge_replugged",
	.qemu = topology,
	.stage = {
		{ .run = preserve, .plan = 1 },
		{ .run = retrieve, .plan = 12 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
