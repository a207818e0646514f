// SPDX-License-Identifier: GPL-2.0
/*
 * Not a test but a demonstration, with the same means: what a person wants to see of
 * a live update, in lines that begin with `demo: `.
 *
 *	demo: kernel LETTER
 *	demo: step TEXT
 *	demo: device ADDRESS TEXT
 *	demo: error TEXT
 *	demo: row DEVICE | NAME | ADDRESS BEFORE | ADDRESS NOW | INCOMING | FINISHED
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include "plu.h"

#define SESSION		"demo"
#define LEFT_ALONE	" (left alone)"

static void __printf(1, 2) step(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	printf("demo: step ");
	vprintf(fmt, args);
	printf("\n");
	va_end(args);
}

static void __printf(2, 3) device(const struct plu_device *d, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	printf("demo: device %s ", d->bdf);
	vprintf(fmt, args);
	printf("\n");
	va_end(args);
}

static void check(bool ok, const char *what)
{
	if (!ok)
		printf("demo: error not so: %s\n", what);
}

/* The type of a bridge's PCI Express port, or -1 if it has none. */
static int port_type(const char *bdf)
{
	unsigned char config[256] = {};
	char path[64], text[256 + 1];
	int len;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", bdf);
	len = plu_read_file(path, text, sizeof(text));
	if (len < PCI_STD_HEADER_SIZEOF)
		return -1;
	memcpy(config, text, len);

	/* A well-formed list, and it has no more entries than fit. */
	for (int pos = config[PCI_CAPABILITY_LIST], n = 0; pos && n < 48;
	     pos = config[pos + PCI_CAP_LIST_NEXT], n++)
		if (config[pos] == PCI_CAP_ID_EXP)
			return (config[pos + PCI_EXP_FLAGS] & PCI_EXP_FLAGS_TYPE) >> 4;

	return -1;
}

/* Where a device is, by the bridge that it is behind. */
static const char *place(const struct plu_device *d)
{
	char link[64], target[256];
	char *end;
	int len;

	snprintf(link, sizeof(link), "/sys/bus/pci/devices/%s", d->bdf);
	len = readlink(link, target, sizeof(target) - 1);
	target[len < 0 ? 0 : len] = '\0';
	end = strrchr(target, '/');
	if (!end)
		return "";
	*end = '\0';
	end = strrchr(target, '/');
	if (!end || !strncmp(end, "/pci", 4))
		return "on the root bus";

	switch (port_type(end + 1)) {
	case PCI_EXP_TYPE_ROOT_PORT:
		return "behind a root port";
	case PCI_EXP_TYPE_DOWNSTREAM:
		return "behind the switch";
	case PCI_EXP_TYPE_PCI_BRIDGE:
		return "behind the PCI bridge";
	default:
		return "behind a bridge";
	}
}

static const char *kind(const struct plu_device *d)
{
	return d->vendor == 0x1234 ? "edu" : "pci-testdev";
}

static const char *yes(bool is)
{
	return is ? "yes" : "no";
}

/* One device stays out, to show the difference. */
static bool is_left_alone(const struct plu_device *d)
{
	return d + 1 == plu_end();
}

static void kernel_a(void)
{
	struct plu_device *d;
	int session;

	printf("demo: kernel A\n");
	plu_find_devices(2);
	step("%u PCI devices, each with a file in /dev", plu.nr_devices);
	for (d = plu.dev; d < plu_end(); d++)
		device(d, "%s, %s", kind(d), place(d));
	check(plu_check("no device is preserved"), "no device is preserved yet");

	session = plu_session(SESSION);
	step("live update session \"%s\" opened, device files preserved in it", SESSION);
	for (d = plu.dev; d < plu_end(); d++) {
		plu_set_cookie(d, 0xc0ffee00 + d->token);
		if (is_left_alone(d)) {
			device(d, "left alone");
			continue;
		}
		plu_preserve(session, d);
		device(d, "outgoing, with the cookie 0x%llx",
		       (unsigned long long)d->cookie);
	}
	check(plu_check("all but one are outgoing"), "all devices but one are outgoing");
	step("kexec: kernel A hands over to kernel B");
}

static void kernel_b(void)
{
	bool incoming[PLU_MAX_DEVICES], finished[PLU_MAX_DEVICES];
	struct plu_device *d;
	bool same = true;
	int session;

	printf("demo: kernel B\n");
	plu_take_over();
	step("kernel B has looked for PCI devices and for what kernel A says of them");
	for (d = plu.dev; d < plu_end(); d++) {
		incoming[d - plu.dev] = plu_is_incoming(d);
		device(d, incoming[d - plu.dev] ? "incoming" : "not incoming");
	}
	check(plu_check("what was outgoing is incoming"), "what was outgoing is incoming");

	session = plu_retrieve_session(SESSION);
	step("session \"%s\" retrieved, and the device files from it", SESSION);
	for (d = plu.dev; d < plu_end(); d++) {
		bool intact;

		if (is_left_alone(d))
			continue;
		plu_retrieve(session, d);
		intact = plu_file_is(d->fd, d, d->handed_cookie);
		same &= intact;
		device(d, "retrieved, %s the cookie 0x%llx",
		       intact ? "works, and has" : "but does not work with",
		       (unsigned long long)d->handed_cookie);
	}
	check(plu_ok(same, "the files work"), "each file is what it was");

	plu_finish(session);
	step("session \"%s\" finished", SESSION);
	check(plu_check("every device is ordinary"), "every device is an ordinary one");
	for (d = plu.dev; d < plu_end(); d++) {
		finished[d - plu.dev] = incoming[d - plu.dev] && !plu_is_incoming(d);
		if (finished[d - plu.dev])
			device(d, "finished, an ordinary device again");
	}
	step("nothing is left of the hand-over: %s", plu_status("handover"));

	for (d = plu.dev; d < plu_end(); d++)
		printf("demo: row %s %04x:%04x | %s%s | %s | %s | %s | %s\n",
		       kind(d), d->vendor, d->device, place(d),
		       is_left_alone(d) ? LEFT_ALONE : "", d->handed_bdf, d->bdf,
		       yes(incoming[d - plu.dev]),
		       is_left_alone(d) ? "-" : yes(finished[d - plu.dev]));
}

static const struct plu_test test = {
	.name = "demo",
	.stage = {
		{ .run = kernel_a, .plan = 2 },
		{ .run = kernel_b, .plan = 3 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
