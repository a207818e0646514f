// SPDX-License-Identifier: GPL-2.0
/*
 * The ACS controls of a bridge above a preserved device are written back when a reset
 * has cleared them, as long as the bridge is there, also when the live update is over;
 * and when the bridge was removed meanwhile. Those of another bridge become what the
 * kernel sets in one that was just switched on.
 *
 * The bridges are a port of a switch each, with an ACS capability that a module adds,
 * and the reset is that of the bus above, by a module, as userspace can't reset what
 * is above an incoming device.
 */

#include <errno.h>
#include <stdio.h>

#include <linux/pci_regs.h>

#include "plu.h"

static const char *topology(void)
{
	return "-device pcie-root-port,id=rp1,chassis=1,addr=4\n"
		"-device x3130-upstream,id=up1,bus=rp1\n"
		"-device xio3130-downstream,id=dn1,bus=up1,chassis=2\n"
		"-device edu,bus=dn1\n"
		"-device pcie-root-port,id=rp2,chassis=3,addr=5\n"
		"-device x3130-upstream,id=up2,bus=rp2\n"
		"-device xio3130-downstream,id=dn2,bus=up2,chassis=4\n"
		"-device edu,bus=dn2";
}

#define KEPT	"0000:00/04.0/00.0/00.0/00.0"
#define OTHER	"0000:00/05.0/00.0/00.0/00.0"

#define SESSION	"acs_reset"

/* What the control registers are set to by hand, and what the command line adds */
#define BY_HAND	(PCI_ACS_TB | PCI_ACS_CR)
#define ADDED	PCI_ACS_SV

static struct plu_device *port(const char *path)
{
	return plu_upstream(plu_at(path), 0);
}

static int give_acs(void)
{
	char parameters[64];

	snprintf(parameters, sizeof(parameters), "ports=%s,%s", port(KEPT)->bdf,
		 port(OTHER)->bdf);

	return plu_load_module("external/pci_liveupdate_acs", parameters);
}

static unsigned int control_register(const char *path)
{
	unsigned int pos = plu_ext_capability(port(path)->bdf, PCI_EXT_CAP_ID_ACS);

	if (!pos)
		plu_bail("%s has no ACS", port(path)->bdf);

	return pos + PCI_ACS_CTRL;
}

static bool controls_are(const char *path, unsigned int expected)
{
	unsigned int is = plu_config_read(port(path)->bdf, control_register(path), 2);

	if (is != expected)
		plu_say("%s: its ACS controls are 0x%02x, not 0x%02x", port(path)->bdf,
			is, expected);

	return is == expected;
}

static void set_controls(const char *path)
{
	plu_config_write(port(path)->bdf, control_register(path), 2, BY_HAND);
}

/* All that is below the root port */
static int reset_switch(const char *path)
{
	char parameters[32];
	int ret;

	snprintf(parameters, sizeof(parameters), "device=%s", plu_upstream(plu_at(path), 1)->bdf);
	ret = plu_load_module("external/pci_liveupdate_reset", parameters);

	return ret ?: plu_unload_module("pci_liveupdate_reset");
}

static void kernel_a(void)
{
	plu_find_devices(2);
	plu_gives(give_acs(), 0, "two ports have ACS");
	set_controls(KEPT);
	set_controls(OTHER);
	plu_ok(controls_are(KEPT, BY_HAND) && controls_are(OTHER, BY_HAND),
	       "they have the same controls");
	plu_preserve(plu_session(SESSION), plu_at(KEPT));
	plu_check("the device below one is outgoing");
}

static void reset_both(const char *when)
{
	plu_gives(reset_switch(KEPT), 0, "the switch is reset %s", when);
	plu_ok(controls_are(KEPT, BY_HAND), "the controls of its port are what they were");
	plu_check("the device below works");
}

static void kernel_b(void)
{
	int session;

	plu_take_over();
	plu_check("the device is incoming");

	/* The ports have had no ACS up to now. */
	plu_gives(plu_remove(port(KEPT)), 0, "its port is removed");
	plu_gives(plu_remove(port(OTHER)), 0, "and the other");
	plu_gives(give_acs(), 0, "they have ACS");
	plu_rescan();
	plu_ok(controls_are(KEPT, BY_HAND), "its controls are what they were");
	plu_ok(controls_are(OTHER, BY_HAND | ADDED), "the command line adds to the other's");

	reset_both("while the device is incoming");
	plu_gives(reset_switch(OTHER), 0, "the other switch is reset");
	plu_ok(controls_are(OTHER, ADDED), "the controls of its port are lost");

	plu_gives(plu_remove(port(KEPT)), 0, "the incoming port is removed");
	plu_gives(reset_switch(KEPT), 0, "its switch is reset meanwhile");
	plu_rescan();
	plu_ok(controls_are(KEPT, BY_HAND), "the controls are what they were before that");
	plu_check("the device is incoming again");

	session = plu_retrieve_session(SESSION);
	plu_retrieve(session, plu_at(KEPT));
	plu_finish(session);
	plu_check("the device is finished");
	reset_both("once more");

	plu_gives(plu_remove(port(KEPT)), 0, "the port is removed again");
	plu_rescan();
	plu_ok(controls_are(KEPT, BY_HAND | ADDED), "it is one like the other");
	plu_gives(reset_switch(KEPT), 0, "the switch is reset");
	plu_ok(controls_are(KEPT, ADDED), "the controls of the port are lost");
}

static const struct plu_test test = {
	.name = "acs_reset",
	.qemu = topology,
	.stage = {
		{ .run = kernel_a, .plan = 3 },
		{ .run = kernel_b, .plan = 23,
		  .cmdline = "pci=config_acs=xxxxxx1@pci:104c:8233" },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
