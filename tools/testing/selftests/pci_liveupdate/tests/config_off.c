// SPDX-License-Identifier: GPL-2.0
/*
 * A kernel without CONFIG_PCI_LIVEUPDATE, started by one that has it and has
 * preserved devices: it finds them like any others, and a driver that was written
 * for live update works there, without.
 */

#include "plu.h"

#define SESSION	"config_off"

static void preserve(void)
{
	struct plu_device *d;
	int session;

	plu_find_devices(2);
	session = plu_session(SESSION);
	for (d = plu.dev; d < plu_end(); d++)
		plu_preserve(session, d);
	plu_check("every device is outgoing");
}

static void be_without(void)
{
	struct plu_device *d;
	bool silent = true;

	plu_find_devices(2);
	plu_ok(!plu_exists(PLU_DEBUGFS), "there is no %s", PLU_DEBUGFS);
	for (d = plu.dev; d < plu_end(); d++)
		silent &= !plu_exists(plu_node(d));
	plu_ok(silent, "there are no device files of the test driver");
	plu_ok(plu_log_is_silent(), "the kernel says nothing of live update of any device");

	plu_gives(plu_load_module("external/pci_liveupdate_stubs", ""), 0,
		  "every function gives what it should");
	plu_gives(plu_unload_module("pci_liveupdate_stubs"), 0, "its module is unloaded");
	plu_gives(plu_load_module("external/pci_liveupdate_example", ""), 0,
		  "a driver for live update works without");
	plu_ok(plu_exists("/dev/pci_liveupdate_example"), "it has a device file");
	plu_gives(plu_unload_module("pci_liveupdate_example"), 0, "it is unloaded");
}

static const struct plu_test test = {
	.name = "config_off",
	.foreign = true,
	.stage = {
		{ .run = preserve, .plan = 1 },
		{
			.run = be_without,
			.plan = 8,
			.cmdline = "plu.modules=/modules-off",
			.kernel = "/boot/bzImage-off",
		},
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
