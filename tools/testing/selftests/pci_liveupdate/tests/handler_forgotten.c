// SPDX-License-Identifier: GPL-2.0
/*
 * A module goes away that has not unregistered its handler of files: nobody calls it any
 * more, and its name is free again.
 */

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include <libliveupdate.h>

#include "plu.h"

#define MODULE	"pci_liveupdate_forget"

static void load_and_unload(void)
{
	int memory = memfd_create("handler_forgotten", 0);
	int session;

	plu_find_devices(1);
	plu_skip_log();
	plu_gives(plu_load_module("external/" MODULE, ""), 0, "a module registers a handler");
	plu_gives(plu_unload_module(MODULE), 0, "and goes away without a word");
	plu_ok(plu_says_once("File handler 'pci-liveupdate-forget-v1' was not unregistered"),
	       "which the kernel says");

	/* All handlers are asked whether it is one of their files. */
	session = plu_session("handler_forgotten");
	plu_gives(plu_try_preserve(session, memory, 1), 0, "memory is preserved");
	plu_gives(plu_try_preserve(session, STDIN_FILENO, 2), -ENOENT,
		  "what nobody knows is not");
	plu_close_session(session);

	plu_gives(plu_load_module("external/" MODULE, ""), 0, "the module can be loaded again");
	plu_gives(plu_unload_module(MODULE), 0, "and unloaded");
	plu_check("nothing else has changed");
	close(memory);
}

static const struct plu_test test = {
	.name = "handler_forgotten",
	.stage = {
		{ .run = load_and_unload, .plan = 8 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
