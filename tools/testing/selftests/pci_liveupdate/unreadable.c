// SPDX-License-Identifier: GPL-2.0
/*
 * A hand-over that cannot be read, for it was damaged just before the jump: the next
 * kernel warns once, takes no device for incoming, keeps every bridge as it is, and
 * leaves the memory alone. It can hand over to the kernel after it, which is made to
 * find other damage.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <linux/types.h>

#include "plu.h"

#define SESSION	"unreadable"

/* No bus number may change, which is one of the things that plu_check() looks at. */
#define ASSIGN_ALL	"pci=assign-busses,hpbussize=8"

/* As in include/linux/kho/abi/pci.h */
struct pci_ser {
	__u32 version;
	__u32 nr_devices;
	__u64 devices;
} __packed;

#define NOWHERE	0x1001ULL

/* Every device has a record, and so has every bridge that there is one below. */
static unsigned int nr_records(void)
{
	unsigned int n = plu.nr_devices;

	for (struct plu_device *b = plu.bridge; b < plu_bridges_end(); b++) {
		for (struct plu_device *d = plu.dev; d < plu_end(); d++) {
			if (plu_is_below(d, b)) {
				n++;
				break;
			}
		}
	}

	return n;
}

/* What the kernel says about it, in its log and in debugfs. */
static const char *why(int damage)
{
	static char text[64];

	switch (damage) {
	case 0:
		return "version 3, not 2";
	case 1:
		snprintf(text, sizeof(text), "no block was preserved at 0x%llx", NOWHERE);
		return text;
	default:
		snprintf(text, sizeof(text), "%u devices, not %u", nr_records(),
			 nr_records() + 1);
		return text;
	}
}

static void damage_hand_over(int damage)
{
	struct pci_ser good = { 2, nr_records(), 0 };
	struct pci_ser bad = { 3, nr_records() + 1, NOWHERE };

	plu.note = plu_status_address("outgoing_address");
	plu_ok(plu_memory_is(plu.note, &good, offsetof(struct pci_ser, devices)),
	       "the hand-over is where debugfs says");

	switch (damage) {
	case 0:
		plu_write_memory(plu.note, &bad.version, sizeof(bad.version));
		break;
	case 1:
		plu_write_memory(plu.note + offsetof(struct pci_ser, devices),
				 &bad.devices, sizeof(bad.devices));
		break;
	default:
		plu_write_memory(plu.note + offsetof(struct pci_ser, nr_devices),
				 &bad.nr_devices, sizeof(bad.nr_devices));
		break;
	}

	plu_announce("the hand-over cannot be read: %s", why(damage));
	plu_announce("drivers/pci/liveupdate/incoming.rs:");
}

static void preserve_and_damage(int damage)
{
	struct plu_device *d;
	int session;

	session = plu_session(SESSION);
	for (d = plu.dev; d < plu_end(); d++) {
		plu_set_cookie(d, 0xbadc0de);
		plu_preserve(session, d);
	}
	plu_check("every device is outgoing");
	damage_hand_over(damage);
}

static void find_unreadable(int damage)
{
	static char handover[128];
	bool refused = true;
	struct plu_device *d;
	int session;

	plu_take_over();
	for (d = plu.dev; d < plu_end(); d++)
		d->incoming = PLU_ORDINARY;
	plu_expect_found();
	snprintf(handover, sizeof(handover), "unreadable (%s)", why(damage));
	plu.handover = handover;
	plu_check("no device is incoming, every bridge is to be kept");
	plu_ok(plu_says_once("the hand-over cannot be read: "), "the kernel says why, once");

	session = plu_retrieve_session(SESSION);
	for (d = plu.dev; d < plu_end(); d++)
		refused &= plu_retrieve_fd(session, d->token) == -ENODEV;
	plu_ok(refused, "no device can be retrieved");
	plu_finish(session);
	plu_close_session(session);
	plu_gives(plu_remove(&plu.dev[0]), 0, "a device can be removed");
	plu_rescan();
	plu_check("when all is finished, and devices are found again, it is the same");
	plu_ok(plu_says_once("the hand-over cannot be read: "), "the kernel has said no more");
	plu_ok(plu_page_in_use(plu.note) && !plu_page_given_back(plu.note),
	       "the memory is left alone");
}

static void first(void)
{
	plu_find_devices(2);
	preserve_and_damage(0);
}

static void second(void)
{
	find_unreadable(0);
	preserve_and_damage(1);
}

static void third(void)
{
	find_unreadable(1);
	preserve_and_damage(2);
}

static void last(void)
{
	find_unreadable(2);
}

static const struct plu_test test = {
	.name = "unreadable",
	.stage = {
		{ .run = first, .plan = 2 },
		{ .run = second, .plan = 9, .cmdline = ASSIGN_ALL },
		{ .run = third, .plan = 9, .cmdline = ASSIGN_ALL },
		{ .run = last, .plan = 7, .cmdline = ASSIGN_ALL },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
