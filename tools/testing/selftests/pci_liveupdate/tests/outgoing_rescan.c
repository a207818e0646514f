// SPDX-License-Identifier: GPL-2.0
/*
 * A kernel that assigns all bus numbers itself does so again when buses are rescanned, and
 * numbers them otherwise when a bridge was removed before. Not those of the bridges above
 * an outgoing device: it is reached by the same address in this kernel and in the next one.
 */

#include <string.h>

#include <linux/pci_regs.h>

#include "plu.h"

/* In the default topology: a port of the switch, and a root port that is scanned before it */
#define KEPT		"0000:00/05.0/00.0/00.0/00.0"
#define OTHER		"0000:00/04.0/00.0"

#define SESSION		"outgoing_rescan"
#define COOKIE		0x4e5ca9
#define CMDLINE		"pci=assign-busses"

static void scan_again(void)
{
	if (plu_write_file("/sys/bus/pci/rescan", "1\n"))
		plu_bail("buses cannot be scanned again");
}

/* Of the bridges above the device, from below */
static __u32 numbers[8];

static void note_numbers(const struct plu_device *d)
{
	if (plu_level(d) > ARRAY_SIZE(numbers))
		plu_bail("%s is behind too many bridges", d->bdf);
	for (unsigned int level = 0; level < plu_level(d); level++)
		numbers[level] = plu_bus_numbers(plu_bridge_above(d, level));
}

static bool are_as_noted(const struct plu_device *d)
{
	bool all = true;

	for (unsigned int level = 0; level < plu_level(d); level++) {
		const char *bridge = plu_bridge_above(d, level);

		if (plu_bus_numbers(bridge) == numbers[level])
			continue;
		plu_say("%s has bus numbers 0x%06x, had 0x%06x", bridge,
			plu_bus_numbers(bridge), numbers[level]);
		all = false;
	}

	return all;
}

/* At its address, by its config space and its registers */
static bool is_reached(const struct plu_device *d)
{
	return plu_config_read(d->bdf, PCI_VENDOR_ID, 2) == d->vendor &&
	       plu_file_is(d->fd, d, COOKIE);
}

static void kernel_a(void)
{
	struct plu_device *d;
	unsigned int said;
	int session;

	plu_find_devices(2);
	d = plu_at(KEPT);
	plu_set_cookie(d, COOKIE);
	note_numbers(d);
	session = plu_session(SESSION);
	plu_preserve(session, d);
	scan_again();
	plu_ok(are_as_noted(d) && is_reached(d), "a rescan changes nothing above a device");
	plu_check("it is outgoing");

	plu_close_session(session);
	plu_check("it is unpreserved");
	said = plu_times_said("liveupdate: ");
	scan_again();
	plu_ok(plu_times_said("liveupdate: ") == said,
	       "a rescan then has nothing to do with live update");

	note_numbers(d);
	plu_preserve(plu_session(SESSION), d);
	plu_check("it is outgoing again");
	/* When they are found again, their address may be another. */
	plu_gives(plu_remove_bridge(plu_at(OTHER)), 0, "another port is removed");
	scan_again();
	plu_ok(are_as_noted(d), "bus numbers above the device are what they were");
	plu_ok(is_reached(d), "it is reached by its address");
	plu_ok(plu_is_consistent(), "the kernel finds its lists to agree");
	scan_again();
	plu_ok(are_as_noted(d) && is_reached(d), "one more rescan changes nothing");
}

static void kernel_b(void)
{
	struct plu_device *d;
	bool same = true;
	int session;

	plu_take_over();
	d = plu_at(KEPT);
	plu_ok(plu_is_incoming(d) && !strcmp(d->bdf, d->handed_bdf),
	       "the device is incoming, at the same address");
	for (unsigned int level = 0; level < plu_level(d); level++)
		same &= plu_bus_numbers(plu_bridge_above(d, level)) ==
			plu_upstream(d, level)->handed.numbers;
	plu_ok(same, "bus numbers above it are what they were");
	session = plu_retrieve_session(SESSION);
	plu_retrieve(session, d);
	plu_ok(is_reached(d), "it is retrieved, works, and has the cookie");
	plu_finish(session);
	plu_ok(!plu_is_incoming(d) && plu_is_consistent(), "it is finished");
}

static const struct plu_test test = {
	.name = "outgoing_rescan",
	.stage = {
		{ .run = kernel_a, .plan = 10, .cmdline = CMDLINE },
		{ .run = kernel_b, .plan = 4, .cmdline = CMDLINE },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
