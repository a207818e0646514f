// SPDX-License-Identifier: GPL-2.0
/*
 * More than a hundred devices, many to a bus, on the root bus and behind bridges of
 * several kinds: every record is there, in this kernel and the next.
 */

#include <stdio.h>
#include <string.h>

#include "plu.h"

#define AT_LEAST	100
#define NR_SESSIONS	4

static char arguments[16384];

static void __printf(1, 2) device(const char *fmt, ...)
{
	size_t len = strlen(arguments);
	va_list args;

	len += snprintf(arguments + len, sizeof(arguments) - len, "%s-device ",
			len ? " " : "");
	va_start(args, fmt);
	vsnprintf(arguments + len, sizeof(arguments) - len, fmt, args);
	va_end(args);
}

static void functions(const char *type, const char *bus, int slot, int nr)
{
	for (int function = 0; function < nr; function++)
		device("%s,bus=%s,addr=%x.%d,multifunction=on", type, bus, slot,
		       function);
}

static const char *topology(void)
{
	/* 8 functions in a slot of the root bus */
	functions("pci-testdev", "pcie.0", 0x10, 8);

	/* A bus of conventional PCI: 8 slots with 8 functions each */
	device("pcie-root-port,id=rp1,chassis=1,addr=11");
	device("pcie-pci-bridge,id=pci1,bus=rp1");
	for (int slot = 1; slot <= 8; slot++)
		functions("pci-testdev", "pci1", slot, 8);

	/* A switch: endpoints below two of its ports, another bus below the third */
	device("pcie-root-port,id=rp2,chassis=2,addr=12");
	device("x3130-upstream,id=up,bus=rp2");
	device("xio3130-downstream,id=down1,bus=up,addr=0,chassis=3");
	device("xio3130-downstream,id=down2,bus=up,addr=1,chassis=4");
	device("xio3130-downstream,id=down3,bus=up,addr=2,chassis=5");
	functions("edu", "down1", 0, 4);
	functions("pci-testdev", "down2", 0, 8);
	device("pcie-pci-bridge,id=pci2,bus=down3");
	for (int slot = 1; slot <= 3; slot++)
		functions("pci-testdev", "pci2", slot, 8);

	return arguments;
}

static bool same_bus(const struct plu_device *a, const struct plu_device *b)
{
	return !strncmp(a->bdf, b->bdf, strlen("0000:00"));
}

/* Is this the place where many devices show what few do not? */
static bool is_varied(void)
{
	unsigned int buses = 0, behind = 0;
	struct plu_device *d;

	for (d = plu.dev; d < plu_end(); d++) {
		buses += d == plu.dev || !same_bus(d, d - 1);
		behind += plu_is_behind_bridge(d);
	}
	plu_say("%u devices on %u buses, %u of them behind bridges", plu.nr_devices,
		buses, behind);

	return buses >= 4 && behind >= plu.nr_devices / 2 && behind < plu.nr_devices;
}

static int session(int number, int (*get)(const char *name))
{
	char name[32];

	snprintf(name, sizeof(name), "many-%d", number);

	return get(name);
}

/* Neighbours are in different sessions. */
static int number_of(const struct plu_device *d)
{
	return (d - plu.dev) % NR_SESSIONS;
}

static void preserve(void)
{
	int sessions[NR_SESSIONS];
	struct plu_device *d;
	int reader;

	plu_find_devices(AT_LEAST);
	plu_ok(is_varied(), "there are many devices, and not all in one place");

	reader = plu_start_reader();
	for (int i = 0; i < NR_SESSIONS; i++)
		sessions[i] = session(i, plu_session);
	for (d = plu.dev; d < plu_end(); d++) {
		plu_set_cookie(d, 0x3a4e000000000000 + d->token);
		plu_preserve(sessions[number_of(d)], d);
	}
	plu_check("every device is outgoing");

	plu_close_session(sessions[1]);
	plu_check("every fourth is not any more");

	sessions[1] = session(1, plu_session);
	for (d = plu_end(); d-- > plu.dev;)
		if (number_of(d) == 1)
			plu_preserve(sessions[1], d);
	plu_check("every device is outgoing again");
	plu_ok(plu_stop_reader(reader), "debugfs could be read all the time");
	plu_when_written(plu_check_written);
}

static void retrieve(void)
{
	int sessions[NR_SESSIONS];
	struct plu_device *d;
	bool same = true;
	int reader;

	plu_take_over();
	plu_ok(plu.nr_devices >= AT_LEAST && plu.nr_incoming_files == plu.nr_devices,
	       "every device was handed over");
	plu_check("every device is incoming");

	reader = plu_start_reader();
	for (int i = 0; i < NR_SESSIONS; i++)
		sessions[i] = session(i, plu_retrieve_session);
	for (d = plu_end(); d-- > plu.dev;) {
		plu_retrieve(sessions[number_of(d)], d);
		same &= plu_file_is(d->fd, d, d->handed_cookie);
	}
	plu_ok(same, "each is retrieved, works, and has the cookie");

	plu_finish(sessions[2]);
	plu_check("every fourth is finished, the others are incoming");
	for (int i = 0; i < NR_SESSIONS; i++)
		if (i != 2)
			plu_finish(sessions[i]);
	plu_ok(plu_stop_reader(reader), "debugfs could be read all the time");
	plu_check("every device is ordinary, and nothing is left");
}

static const struct plu_test test = {
	.name = "many",
	.qemu = topology,
	.stage = {
		{ .run = preserve, .plan = 5 },
		{ .run = retrieve, .plan = 6 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
