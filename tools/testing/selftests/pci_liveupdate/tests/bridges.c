// SPDX-License-Identifier: GPL-2.0
/*
 * With a device, every bridge above it is preserved, and counts the preserved devices
 * below it: behind a switch, bridges to conventional PCI, an extra root bus, and with
 * several functions in a slot; whatever the order in which the devices are preserved,
 * unpreserved and finished.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "plu.h"

static const char *topology(void)
{
	return "default\n"
		/* Another root bus */
		"-device pxb-pcie,id=pxb,bus_nr=0x40\n"
		"-device pcie-root-port,id=rp3,bus=pxb,chassis=13\n"
		"-device edu,bus=rp3\n"
		/* Functions of one device */
		"-device pcie-root-port,id=rp4,chassis=14,addr=7\n"
		"-device edu,bus=rp4,addr=0.0,multifunction=on\n"
		"-device pci-testdev,bus=rp4,addr=0.3\n"
		/* A bridge to conventional PCI behind a port, and one more behind that */
		"-device pcie-root-port,id=rp5,chassis=15,addr=8\n"
		"-device pcie-pci-bridge,id=pb2,bus=rp5\n"
		"-device edu,bus=pb2,addr=2\n"
		"-device pci-bridge,id=pb3,bus=pb2,addr=3,chassis_nr=16\n"
		"-device edu,bus=pb3,addr=4.0,multifunction=on\n"
		"-device edu,bus=pb3,addr=4.1";
}

/* Of 11 devices, the one alone behind a root port is not handed over. */
#define NR_DEVICES	11
#define LEFT_OUT	1

/* The devices in another order than they are found in. */
static struct plu_device *shuffled(unsigned int i)
{
	return &plu.dev[(i * 7 + 3) % NR_DEVICES];
}

static int preserve_alone(struct plu_device *d)
{
	char name[32];
	int session;

	snprintf(name, sizeof(name), "bridges-%s", d->bdf);
	session = plu_session(name);
	plu_preserve(session, d);

	return session;
}

static unsigned int most_below(void)
{
	unsigned int most = 0, n;
	struct plu_device *b;

	for (b = plu.bridge; b < plu_bridges_end(); b++) {
		n = plu_count_outgoing(b);
		if (n > most)
			most = n;
	}

	return most;
}

/* Is this the place where bridges show what they can? */
static bool is_varied(void)
{
	unsigned int roots = 0, functions = 0, deepest = 0;
	struct plu_device *d;

	for (d = plu.dev; d < plu_end(); d++) {
		roots += d == plu.dev ||
			 strncmp(d->path, d[-1].path, strlen("0000:00"));
		functions += d->bdf[PLU_BDF_SIZE - 2] != '0';
		if (plu_level(d) > deepest)
			deepest = plu_level(d);
	}
	plu_say("%u devices, %u of them further functions, on %u root buses, below %u bridges",
		plu.nr_devices, functions, roots, plu.nr_bridges);

	return plu.nr_devices == NR_DEVICES && roots >= 2 && functions >= 2 &&
	       deepest >= 3 && plu.nr_bridges >= 10;
}

/* A kernel that is started before it is settled what is preserved finds nothing. */
static bool is_nothing_written(void)
{
	__u64 header_at = plu_status_address("outgoing_address");
	struct plu_header header;

	if (!header_at)
		return false;
	plu_read_memory(header_at, &header, sizeof(header));

	return header.version == 2 && !header.nr_devices;
}

/* Their driver cannot preserve bridges. */
static void bridge_itself(void)
{
	struct plu_device *b;

	for (b = plu.bridge; b < plu_bridges_end() && b->driver; b++)
		;
	if (b == plu_bridges_end())
		plu_skip("no bridge without a driver");

	plu_gives(plu_driver_override(b->bdf, PLU_DRIVER), 0, "the driver has a bridge");
	plu_gives(plu_command(b, "preserve"), -EINVAL, "it cannot preserve it by itself");
	plu_ok(plu_says_once("a bridge is preserved with the devices below it, not by itself"),
	       "the kernel says why");
	plu_gives(plu_driver_override(b->bdf, NULL), 0, "the bridge has no driver again");
	plu_check("nothing else has changed");
}

static void preserve(void)
{
	int sessions[NR_DEVICES];
	bool expected = true;
	unsigned int i;

	plu_find_devices(NR_DEVICES);
	plu_ok(is_varied(), "there are bridges of many kinds");
	plu_check("nothing is preserved");

	for (i = 0; i < NR_DEVICES; i++) {
		sessions[i] = preserve_alone(&plu.dev[i]);
		expected &= plu_is_as_expected();
	}
	plu_ok(expected, "one device after the other is preserved with its bridges");
	plu_ok(most_below() >= 3, "a bridge counts several devices");
	plu_ok(is_nothing_written(), "nothing is written for the next kernel yet");

	expected = true;
	for (i = 0; i < NR_DEVICES; i++) {
		plu_close_session(sessions[shuffled(i) - plu.dev]);
		expected &= plu_is_as_expected();
	}
	plu_ok(expected, "and unpreserved, in another order");
	plu_check("nothing is left");

	preserve_alone(&plu.dev[0]);
	bridge_itself();

	for (i = 0; i < NR_DEVICES; i++) {
		if (shuffled(i) == &plu.dev[0] || shuffled(i) == &plu.dev[LEFT_OUT])
			continue;
		plu_set_cookie(shuffled(i), 0xb41d6e00 + i);
		preserve_alone(shuffled(i));
	}
	plu_check("all but one are preserved again");
	plu_ok(!plu_count_outgoing(plu_upstream(&plu.dev[LEFT_OUT], 0)),
	       "the bridge above the one that is not preserved is not either");
	plu_when_written(plu_check_written);
}

static void finish(void)
{
	bool expected = true, same = true;
	struct plu_device *d;
	unsigned int i;
	char name[32];
	int session;

	plu_take_over();
	plu_check("the devices are incoming, and their bridges");
	plu_ok(!plu_count_incoming(plu_upstream(&plu.dev[LEFT_OUT], 0), PLU_INCOMING),
	       "but for the bridge of the one that was not preserved");

	for (i = NR_DEVICES; i--;) {
		d = shuffled(i);
		if (d == &plu.dev[LEFT_OUT])
			continue;
		snprintf(name, sizeof(name), "bridges-%s", d->bdf);
		session = plu_retrieve_session(name);
		plu_retrieve(session, d);
		same &= plu_file_is(d->fd, d, d->handed_cookie);
		plu_finish(session);
		expected &= plu_is_as_expected();
	}
	plu_ok(same, "each is retrieved, works, and has the cookie");
	plu_ok(expected, "one after the other is finished, and each bridge with its last");
	plu_check("nothing is left");
}

static const struct plu_test test = {
	.name = "bridges",
	.qemu = topology,
	.stage = {
		{ .run = preserve, .plan = 14, .cmdline = PLU_NO_ACPI_IRQ },
		{ .run = finish, .plan = 5, .cmdline = PLU_NO_ACPI_IRQ },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
