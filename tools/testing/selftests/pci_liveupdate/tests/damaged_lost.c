// SPDX-License-Identifier: GPL-2.0
/*
 * A hand-over that cannot be read, and a bridge that came up without bus numbers, as
 * after a reset: nothing can be at work below it, so it is not one of those that are kept
 * as they are. One that has lost only the first of its bus numbers is: it lets something
 * through.
 */

#include <stdio.h>
#include <string.h>

#include <linux/pci_regs.h>

#include "plu.h"

static const char *topology(void)
{
	return "-device edu,addr=3\n"
		"-device pcie-root-port,id=rp1,chassis=1,addr=4 -device edu,bus=rp1\n"
		"-device pcie-root-port,id=rp2,chassis=2,addr=5 -device edu,bus=rp2\n"
		"-device pcie-root-port,id=rp3,chassis=3,addr=6";
}

#define SESSION		"damaged_lost"

#define KEPT		"0000:00:04.0"
#define LOST		"0000:00:05.0"
#define HALF_LOST	"0000:00:06.0"

/* What is set by hand, and what the command line wants instead */
#define BY_HAND		(PCI_ACS_SV | PCI_ACS_CR)
#define CONFIGURED	0
#define CMDLINE		"pci=config_acs=0000000@pci:0:0"

static unsigned int controls_of(const char *bdf)
{
	unsigned int pos = plu_ext_capability(bdf, PCI_EXT_CAP_ID_ACS);

	if (!pos)
		plu_skip("%s has no ACS", bdf);

	return pos + PCI_ACS_CTRL;
}

static void be_newer(struct plu_handover *h)
{
	h->header.version++;
	plu_expect_unreadable("version 3, not 2");
}

static const struct plu_lie lie = { "a newer version", be_newer };

static void preserve_and_lie(void)
{
	plu_find_devices(3);
	plu_preserve(plu_session(SESSION), &plu.dev[0]);
	plu_check("a device is outgoing");
	plu_tell(&lie);

	plu_config_write(KEPT, controls_of(KEPT), 2, BY_HAND);
	plu_config_write(LOST, controls_of(LOST), 2, BY_HAND);
	plu_config_write(HALF_LOST, controls_of(HALF_LOST), 2, BY_HAND);
}

static void reset(void)
{
	plu_config_write(LOST, PCI_PRIMARY_BUS, 4, 0);
	plu_config_write(HALF_LOST, PCI_SECONDARY_BUS, 1, 0);
}

/* Its driver switches that off when it goes. */
static bool is_master_without_driver(const char *bdf)
{
	struct plu_device *port = plu_find(bdf);
	bool is_master;

	plu_set_bus_master(bdf, true);
	if (plu_unbind(port))
		plu_bail("%s: cannot be unbound", bdf);
	is_master = plu_is_bus_master(bdf);
	if (plu_bind(port, "pcieport"))
		plu_bail("%s: cannot be bound", bdf);

	return is_master;
}

static void find_unreadable(void)
{
	int session;

	plu_find_devices(0);
	plu_ok(!strcmp(plu_status("handover"), "unreadable (version 3, not 2)"),
	       "the hand-over cannot be read");
	plu_ok(plu_config_read(KEPT, controls_of(KEPT), 2) == BY_HAND,
	       "a bridge with bus numbers is as it was");
	plu_ok(plu_config_read(LOST, controls_of(LOST), 2) == CONFIGURED,
	       "one that has lost them is set up as any other");
	plu_ok(plu_config_read(HALF_LOST, controls_of(HALF_LOST), 2) == BY_HAND,
	       "one that has one of them is not");
	plu_ok(is_master_without_driver(KEPT),
	       "the first stays a bus master when its driver goes");
	plu_ok(!is_master_without_driver(LOST), "the other does not");

	session = plu_retrieve_session(SESSION);
	plu_finish(session);
	plu_close_session(session);
	if (plu_remove(&plu.dev[0]) || plu_remove(plu_find(KEPT)))
		plu_bail("a device or a bridge cannot be removed");
	plu_rescan();
	plu_ok(plu_config_read(KEPT, controls_of(KEPT), 2) == BY_HAND,
	       "the first is as it was when all is finished, and it is found again");
}

static const struct plu_test test = {
	.name = "damaged_lost",
	.qemu = topology,
	.stage = {
		{ .run = preserve_and_lie, .plan = 1, .before_jump = reset },
		{ .run = find_unreadable, .plan = 7, .cmdline = CMDLINE },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
