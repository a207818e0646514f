// SPDX-License-Identifier: GPL-2.0
/*
 * A device is removed that is preserved, and is at work where it was: it is not handed over,
 * so nobody would know that it writes to memory.
 */

#include <stdio.h>
#include <stdlib.h>

#include <linux/pci_regs.h>

#include "plu.h"

#define MODULE	"pci_liveupdate_remove"

static void remove_it(void)
{
	const struct plu_device *d;
	char arguments[64], command[16];
	int session;

	plu_find_devices(1);
	d = &plu.dev[0];
	session = plu_session("outgoing_removed");
	plu_preserve(session, &plu.dev[0]);
	plu_config_write(d->bdf, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);

	snprintf(arguments, sizeof(arguments), "device=%s", d->bdf);
	plu_gives(plu_load_module("external/" MODULE, arguments), 0, "a device is removed");
	if (plu_read_file("/sys/module/" MODULE "/parameters/command", command,
			  sizeof(command)) <= 0)
		plu_bail("the module does not say what it found");
	plu_ok(atoi(command) & PCI_COMMAND_MEMORY, "it is there still");
	plu_ok(!(atoi(command) & PCI_COMMAND_MASTER), "but does no DMA");
	plu_close_session(session);
	plu_ok(plu_is_consistent(), "its session ends as any other");
}

static const struct plu_test test = {
	.name = "outgoing_removed",
	.stage = {
		{ .run = remove_it, .plan = 4 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
