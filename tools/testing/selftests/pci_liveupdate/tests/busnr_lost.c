// SPDX-License-Identifier: GPL-2.0
/*
 * A preserved bridge that comes up without bus numbers, as after a reset: the kernel
 * says so, gives none to it, for its devices may use the numbers that it had, nor to
 * others on its bus that lack them, which might get these; nothing below any of them is
 * found; and the rest of the machine works. When nobody is left who could have what is not
 * found, it gets through to no memory any more, and is stopped when it is found later. In a
 * kernel that was handed nothing, bridges in the same state get new numbers.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <linux/pci_regs.h>

#include "plu.h"

#define SESSION	"busnr_lost"

/* Ports before and after the one that is preserved lose their numbers, too; one does not. */
static const char *topology(void)
{
	return "-device edu,addr=3\n"
		"-device pcie-root-port,id=rp1,chassis=1,addr=4\n"
		"-device edu,bus=rp1\n"
		"-device pcie-root-port,id=rp2,chassis=2,addr=5\n"
		"-device x3130-upstream,id=up,bus=rp2\n"
		"-device xio3130-downstream,id=dn1,bus=up,chassis=5\n"
		"-device edu,bus=dn1\n"
		"-device pcie-root-port,id=rp3,chassis=3,addr=6\n"
		"-device edu,bus=rp3\n"
		"-device pcie-root-port,id=rp4,chassis=4,addr=7\n"
		"-device edu,bus=rp4\n"
		"-device pcie-root-port,id=rp5,chassis=6,addr=8\n"
		"-device edu,bus=rp5";
}

#define PRESERVED	"0000:00:05.0"
#define BEFORE		"0000:00:04.0"
#define AFTER		"0000:00:06.0"
#define KEPT		"0000:00:07.0"
/* This one has numbers, which make no sense. */
#define GARBLED		"0000:00:08.0"

static const char * const lost[] = { BEFORE, PRESERVED, AFTER, GARBLED };

static struct plu_device *device_behind(const char *bdf)
{
	const struct plu_device *bridge = plu_find(bdf);
	struct plu_device *d;

	for (d = plu.dev; d < plu_end(); d++)
		if (bridge && plu_is_below(d, bridge))
			return d;
	plu_bail("no device behind %s", bdf);
}

static bool have_numbers(void)
{
	bool any = false;

	for (size_t i = 0; i < ARRAY_SIZE(lost); i++)
		any |= plu_bus_numbers(lost[i]);

	return any;
}

static bool says(const char *bdf, const char *what)
{
	char message[128];

	snprintf(message, sizeof(message), "%s: liveupdate: %s", bdf, what);

	return plu_says_once(message);
}

static void preserve(void)
{
	int session;

	plu_find_devices(6);
	session = plu_session(SESSION);
	plu_set_cookie(&plu.dev[0], 0x105701);
	plu_preserve(session, &plu.dev[0]);
	plu_set_cookie(device_behind(PRESERVED), 0x105702);
	plu_preserve(session, device_behind(PRESERVED));
	plu_set_cookie(device_behind(KEPT), 0x105703);
	plu_preserve(session, device_behind(KEPT));
	plu_preserve(session, device_behind(GARBLED));
	plu_set_bus_master(device_behind(PRESERVED)->bdf, true);
	plu_set_bus_master(device_behind(GARBLED)->bdf, true);
	plu_check("devices are outgoing, two of them behind bridges that lose their numbers");
}

static void reset(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(lost); i++)
		plu_config_write(lost[i], PCI_PRIMARY_BUS, 4, 0);
	/* The last one before the first */
	plu_config_write(GARBLED, PCI_PRIMARY_BUS, 4, 0x070900);
}

static void go_without(void)
{
	static const char gone[] = "its bus numbers are lost: nothing below it is enumerated";
	static const char no_numbers[] =
		"gets no bus numbers: a preserved bridge on its bus lost its own";
	struct plu_device *unreachable, *garbled;
	int session, ret;

	plu_take_over_some();
	for (size_t i = 0; i < ARRAY_SIZE(lost); i++)
		plu_find(lost[i])->handed.numbers = 0;
	unreachable = device_behind(PRESERVED);
	garbled = device_behind(GARBLED);

	plu_ok(says(PRESERVED, gone),
	       "the kernel says that a preserved bridge has lost its bus numbers");
	plu_ok(says(GARBLED, gone), "so it does of one whose numbers make no sense");
	plu_ok(says(BEFORE, no_numbers) && says(AFTER, no_numbers),
	       "and that others on its bus get none for that");
	plu_ok(!have_numbers(), "none of them has any");
	plu_ok(unreachable->absent && garbled->absent && device_behind(BEFORE)->absent &&
	       device_behind(AFTER)->absent,
	       "nothing behind them is found");
	plu_check("the rest is there, and incoming what was preserved");

	ret = plu_write_file("/sys/bus/pci/rescan", "1\n");
	if (ret)
		plu_bail("cannot rescan: %s", strerror(-ret));
	plu_ok(!have_numbers() && unreachable->absent, "nor when all buses are scanned again");
	plu_check("the rest is as it was");

	session = plu_retrieve_session(SESSION);
	plu_gives(plu_retrieve_fd(session, unreachable->token), -ENODEV,
		  "what is not there cannot be retrieved");
	unreachable->incoming_session = session;
	garbled->incoming_session = session;
	plu_retrieve(session, &plu.dev[0]);
	plu_retrieve(session, device_behind(KEPT));
	plu_ok(plu_file_is(plu.dev[0].fd, &plu.dev[0], 0x105701) &&
	       plu_file_is(device_behind(KEPT)->fd, device_behind(KEPT), 0x105703),
	       "the others are, work, and have the cookies");
	plu_ok(plu_is_bus_master(PRESERVED) && plu_is_bus_master(GARBLED),
	       "what is behind the bridges may be at work");
	plu_finish(session);
	plu_check("they are ordinary");
	plu_ok(!have_numbers(), "the bridges lack their bus numbers still");
	plu_ok(!plu_is_bus_master(PRESERVED) && !plu_is_bus_master(GARBLED),
	       "and let nothing through any more");
	ret = plu_write_file("/sys/bus/pci/rescan", "1\n");
	if (ret)
		plu_bail("cannot rescan: %s", strerror(-ret));
	plu_ok(plu_times_said("found to be a bus master, and must not be: stopped") == 2,
	       "what was not there is found now, and stopped");
}

static void get_new_ones(void)
{
	bool all = true;

	plu_take_over();
	for (size_t i = 0; i < ARRAY_SIZE(lost); i++)
		all &= !!plu_bus_numbers(lost[i]);
	plu_ok(all, "with nothing preserved, the bridges have new bus numbers");
	plu_ok(plu_log_is_silent(), "the kernel says nothing about it");
	plu_check("every device is there");
}

static const struct plu_test test = {
	.name = "busnr_lost",
	.qemu = topology,
	.stage = {
		{ .run = preserve, .plan = 1, .before_jump = reset },
		{ .run = go_without, .plan = 15 },
		{ .run = get_new_ones, .plan = 3 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
