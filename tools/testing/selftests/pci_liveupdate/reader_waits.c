// SPDX-License-Identifier: GPL-2.0
/*
 * Who reads in debugfs which driver a device has takes the lock of the device for it, as
 * the driver may go: the reader waits as long as somebody else has the lock.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plu.h"

#define MODULE	"pci_liveupdate_lock"

static int start_reader(void)
{
	static char list[512];
	int pid = fork();

	if (pid < 0)
		plu_bail("fork: %s", strerror(errno));
	if (!pid)
		exit(plu_read_file(PLU_DEBUGFS "/outgoing", list, sizeof(list)) <= 0);

	return pid;
}

static void run(void)
{
	struct plu_device *d;
	char parameters[64];
	int pid, status;

	plu_find_devices(1);
	d = &plu.dev[0];
	plu_preserve(plu_session("reader_waits"), d);
	plu_check("one device is outgoing");

	snprintf(parameters, sizeof(parameters), "device=%s", d->bdf);
	plu_gives(plu_load_module("external/" MODULE, parameters), 0, "it is locked");
	pid = start_reader();
	plu_ok(plu_waits(pid),
	       "who reads debugfs waits for the lock");
	plu_gives(plu_unload_module(MODULE), 0, "the device is unlocked");
	plu_ok(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && !WEXITSTATUS(status),
	       "the list can be read");
	plu_check("nothing has changed");
}

static const struct plu_test test = {
	.name = "reader_waits",
	.stage = {
		{ .run = run, .plan = 6 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
