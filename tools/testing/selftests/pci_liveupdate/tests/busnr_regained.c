// SPDX-License-Identifier: GPL-2.0
/*
 * A preserved bridge that lost its bus numbers keeps others on its bus from getting any
 * for as long as it matters: still when it was removed and is found again; no longer
 * when it is gone, nor when the devices below it are not incoming any more. Then it gets
 * some itself.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <linux/pci_regs.h>

#include "plu.h"

#define SESSION	"busnr_regained"
#define MODULE	"pci_liveupdate_fake"

static const char *topology(void)
{
	return "-device edu,addr=3\n"
		"-device pcie-root-port,id=rp1,chassis=1,addr=4 -device edu,bus=rp1\n"
		"-device pcie-root-port,id=rp2,chassis=2,addr=5 -device edu,bus=rp2";
}

#define KEPT		"0000:00/03.0"
#define BEHIND_LOST	"0000:00/04.0/00.0"
#define LOST		"0000:00:04.0"
#define BESIDE		"0000:00:05.0"

#define LOST_MESSAGE	LOST ": liveupdate: its bus numbers are lost"

static void preserve(void)
{
	int session;

	plu_find_devices(3);
	session = plu_session(SESSION);
	plu_preserve(session, plu_at(KEPT));
	plu_preserve(session, plu_at(BEHIND_LOST));
	plu_check("a device is outgoing, and one behind the bridge that is to be reset");
}

static void reset(void)
{
	plu_config_write(LOST, PCI_PRIMARY_BUS, 4, 0);
	plu_config_write(BESIDE, PCI_PRIMARY_BUS, 4, 0);
}

/* The model expects more to be found than is. */
static void write_sysfs(const char *path)
{
	int ret = plu_write_file(path, "1\n");

	if (ret)
		plu_bail("%s: %s", path, strerror(-ret));
}

static void remove_lost(void)
{
	write_sysfs("/sys/bus/pci/devices/" LOST "/remove");
}

static void look_for_buses(void)
{
	write_sysfs("/sys/bus/pci/rescan");
}

static bool neither_has_numbers(void)
{
	return !plu_bus_numbers(LOST) && !plu_bus_numbers(BESIDE);
}

static void find_again(void)
{
	unsigned int said = plu_times_said(LOST_MESSAGE);

	remove_lost();
	look_for_buses();
	plu_ok(plu_times_said(LOST_MESSAGE) == said + 1,
	       "a bridge that lost its bus numbers still has when it is found again");
	plu_ok(neither_has_numbers(), "so neither it nor the one beside it gets any");
}

static void do_without(void)
{
	int ret;

	remove_lost();
	ret = plu_load_module("external/" MODULE,
			      "device=" LOST " offset=0 size=4 value=0xffffffff");
	look_for_buses();
	plu_ok(!ret && !plu_exists("/sys/bus/pci/devices/" LOST) && plu_bus_numbers(BESIDE),
	       "the one beside it gets bus numbers when it is gone");

	ret = plu_unload_module(MODULE);
	look_for_buses();
	plu_ok(!ret && plu_exists("/sys/bus/pci/devices/" LOST) && !plu_bus_numbers(LOST),
	       "it does not when it comes again");
	plu_ok(plu_is_consistent(), "the kernel's state is consistent");
}

static void lose(void)
{
	int session;

	plu_take_over_some();
	plu_find(LOST)->handed.numbers = 0;
	plu_find(BESIDE)->handed.numbers = 0;
	plu_ok(plu_says_once(LOST_MESSAGE) && neither_has_numbers(),
	       "a preserved bridge has lost its bus numbers");
	plu_check("what is not behind it, nor beside it, is there");
	find_again();
	do_without();

	session = plu_retrieve_session(SESSION);
	plu_retrieve(session, plu_at(KEPT));
	plu_at(BEHIND_LOST)->incoming_session = session;
	plu_finish(session);
	look_for_buses();
	plu_ok(plu_bus_numbers(LOST), "it gets bus numbers when nothing is incoming any more");
	plu_ok(plu_is_consistent(), "the kernel's state is consistent");
}

static const struct plu_test test = {
	.name = "busnr_regained",
	.qemu = topology,
	.stage = {
		{ .run = preserve, .plan = 1, .before_jump = reset },
		{ .run = lose, .plan = 9 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
