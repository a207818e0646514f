// SPDX-License-Identifier: GPL-2.0
/*
 * A bridge that is plugged in where bus numbers are kept: it gets numbers that nobody
 * has, with which the device behind it works, and no number that is in use changes.
 * Where its port has none to spare it gets none, and everything else works. A bridge
 * beside others never gets numbers before theirs. In a kernel that was handed nothing,
 * and that was told to assign more numbers, it gets some where its port had none.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "plu.h"

#define SESSION		"busnr_hotadd"
#define ASSIGN_ALL	"pci=assign-busses,hpbussize=8"

/* Ports with room for more buses and without, and one with the device that is preserved. */
static const char *topology(void)
{
	return "-global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off\n"
		"-device edu,addr=3\n"
		"-device pcie-root-port,id=roomy,chassis=1,addr=4,bus-reserve=4\n"
		"-device pcie-root-port,id=full,chassis=2,addr=5\n"
		"-device pcie-root-port,id=other,chassis=3,addr=6\n"
		"-device pcie-root-port,id=used,chassis=4,addr=7\n"
		"-device edu,bus=used";
}

#define ROOMY	"0000:00:04.0"
#define FULL	"0000:00:05.0"
#define OTHER	"0000:00:06.0"
#define USED	(&plu.dev[1])

static unsigned int secondary(const char *bdf)
{
	return plu_bus_numbers(bdf) >> 8 & 0xff;
}

static unsigned int subordinate(const char *bdf)
{
	return plu_bus_numbers(bdf) >> 16;
}

static unsigned int room(const char *bdf)
{
	return subordinate(bdf) - secondary(bdf);
}

/* What is, or is going to be, in a slot behind a bridge */
static void write_address(char *bdf, const char *bridge, unsigned int slot)
{
	snprintf(bdf, PLU_BDF_SIZE, "0000:%02x:%02x.0", secondary(bridge), slot);
}

static bool is_there(const char *bdf)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", bdf);

	return plu_exists(path);
}

static bool has_appeared(void *bdf)
{
	return is_there(bdf);
}

static bool has_numbers(void *bdf)
{
	return is_there(bdf) && secondary(bdf);
}

static bool is_refused(void *bdf)
{
	char message[96];

	snprintf(message, sizeof(message),
		 "%s: No bus number available for hot-added bridge", (const char *)bdf);

	return plu_says_once(message);
}

/* Does what is plugged in work? */
static bool is_alive(const char *bdf)
{
	struct plu_device d = {};
	bool alive = false;
	int fd;

	memcpy(d.bdf, bdf, PLU_BDF_SIZE);
	fd = plu_open(&d);
	if (fd >= 0) {
		alive = plu_file_is(fd, &d, 0);
		close(fd);
	}

	return alive;
}

/* Has any bridge that was there a number of these, but for those above it? */
static bool are_unused(const char *bdf, const char *port)
{
	const struct plu_device *b;

	for (b = plu.bridge; b < plu_bridges_end(); b++)
		if (strcmp(b->bdf, port) && secondary(bdf) <= subordinate(b->bdf) &&
		    subordinate(bdf) >= secondary(b->bdf))
			return false;

	return secondary(bdf) > secondary(port) && secondary(bdf) <= subordinate(bdf) &&
	       subordinate(bdf) <= subordinate(port);
}

static void plug_in(const char *device)
{
	const char *answer = plu_monitor("device_add %s", device);

	if (*answer)
		plu_bail("QEMU does not plug in %s: %s", device, answer);
}

static void preserve(void)
{
	plu_find_devices(2);
	plu_ok(room(ROOMY) >= 1, "one port has bus numbers to spare");
	plu_ok(!room(FULL) && !room(OTHER), "two have not");
	plu_set_cookie(USED, 0xb05add);
	plu_preserve(plu_session(SESSION), USED);
	plu_check("a device behind a fourth is outgoing");
}

static void where_there_is_room(void)
{
	char bridge[PLU_BDF_SIZE], device[PLU_BDF_SIZE];

	write_address(bridge, ROOMY, 0);
	plug_in("pcie-pci-bridge,id=new1,bus=roomy");
	plu_ok(plu_wait_for(has_numbers, bridge), "a bridge plugged in gets bus numbers");
	plu_say("0x%06x", plu_bus_numbers(bridge));
	plu_ok(are_unused(bridge, ROOMY), "nobody has them, and its port passes them on");

	write_address(device, bridge, 1);
	plug_in("edu,bus=new1,addr=1");
	plu_rescan();
	plu_ok(plu_wait_for(has_appeared, device) && is_alive(device),
	       "a device behind it works");
	plu_check("all others are as they were");
}

static void where_there_is_none(void)
{
	char bridge[PLU_BDF_SIZE], message[96];

	write_address(bridge, FULL, 0);
	plug_in("pcie-pci-bridge,id=new2,bus=full");
	plu_ok(plu_wait_for(is_refused, bridge), "another gets none from a port without");
	plug_in("edu,bus=new2,addr=1");
	plu_rescan();
	snprintf(message, sizeof(message),
		 "%s: liveupdate: gets no bus numbers: none is free", bridge);
	plu_ok(plu_says_once(message), "nor when all buses are scanned, and the kernel says why");
	plu_ok(is_there(bridge) && !secondary(bridge), "it is there, without numbers");
	plu_check("all others are as they were");
}

/* Which may have one that lies before those of the bridges beside it. */
static bool is_above_others(const char *bdf)
{
	const struct plu_device *b;

	for (b = plu.bridge; b < plu_bridges_end(); b++)
		if (strcmp(b->bdf, bdf) && subordinate(b->bdf) >= secondary(bdf))
			return false;

	return true;
}

/* The last numbers of the others follow each other, and nobody has one in between. */
static void replug_beside_others(void)
{
	unsigned int before = secondary(FULL);
	char parameters[32];

	snprintf(parameters, sizeof(parameters), "device=%s", FULL);
	plu_ok(!is_above_others(FULL), "a port has a bus number below that of others");
	plu_gives(plu_load_module("external/pci_liveupdate_replug", parameters), 0,
		  "it is replaced");
	plu_say("0x%02x, and was 0x%02x", secondary(FULL), before);
	plu_ok(is_above_others(FULL), "it gets one above those of all others");
}

static void plug_in_where_kept(void)
{
	int session;

	plu_take_over();
	plu_check("the device is incoming");
	plu_ok(!room(FULL) && !room(OTHER), "no port has got more bus numbers");

	where_there_is_room();
	where_there_is_none();

	session = plu_retrieve_session(SESSION);
	plu_retrieve(session, USED);
	plu_ok(plu_file_is(USED->fd, USED, 0xb05add),
	       "the device is retrieved, works, and has the cookie");
	plu_finish(session);
	plu_check("it is ordinary, and all are as they were");
	replug_beside_others();
}

static void plug_in_where_assigned(void)
{
	char bridge[PLU_BDF_SIZE], device[PLU_BDF_SIZE];

	/* With what was plugged in before, there are more than were handed over. */
	plu_find_devices(2);
	plu.handover = "foreign";
	plu_check("nothing was handed over");
	plu_ok(plu_says_once("the previous kernel handed over no PCI devices"),
	       "the kernel says so");
	plu_ok(room(OTHER) >= 1, "a port that had no bus numbers to spare has some now");

	write_address(bridge, OTHER, 0);
	plug_in("pcie-pci-bridge,id=new3,bus=other");
	plu_ok(plu_wait_for(has_numbers, bridge), "a bridge plugged in gets bus numbers there");
	write_address(device, bridge, 1);
	plug_in("edu,bus=new3,addr=1");
	plu_rescan();
	plu_ok(plu_wait_for(has_appeared, device) && is_alive(device),
	       "a device behind it works");
}

static const struct plu_test test = {
	.name = "busnr_hotadd",
	.qemu = topology,
	.stage = {
		{ .run = preserve, .plan = 3 },
		{ .run = plug_in_where_kept, .plan = 15, .cmdline = ASSIGN_ALL },
		{ .run = plug_in_where_assigned, .plan = 5, .cmdline = ASSIGN_ALL },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
