// SPDX-License-Identifier: GPL-2.0
/*
 * Who reads in debugfs which driver a device has does not wait for the lock of the device,
 * which may be held by who removes the device and waits for others: the driver is unknown
 * then.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plu.h"

#define MODULE	"pci_liveupdate_lock"

/* What it finds is as expected: it exits with 0. */
static int start_reader(const struct plu_device *d)
{
	static char list[512], is[128];
	int pid = fork();

	if (pid < 0)
		plu_bail("fork: %s", strerror(errno));
	if (pid)
		return pid;

	exit(plu_read_file(PLU_DEBUGFS "/outgoing", list, sizeof(list)) <= 0 ||
	     !plu_value(list, d->bdf, is, sizeof(is)) || strcmp(is, " refcount=1 driver=busy"));
}

static void run(void)
{
	struct plu_device *d;
	char parameters[64];
	int pid, status;

	plu_find_devices(1);
	d = &plu.dev[0];
	plu_preserve(plu_session("reader_goes_on"), d);
	plu_check("one device is outgoing");

	snprintf(parameters, sizeof(parameters), "device=%s", d->bdf);
	plu_gives(plu_load_module("external/" MODULE, parameters), 0, "it is locked");
	pid = start_reader(d);
	plu_ok(!plu_waits(pid), "who reads debugfs does not wait for the lock");
	plu_gives(plu_unload_module(MODULE), 0, "the device is unlocked");
	plu_ok(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && !WEXITSTATUS(status),
	       "the reader was told that the device is busy");
	plu_check("nothing has changed");
}

static const struct plu_test test = {
	.name = "reader_goes_on",
	.stage = {
		{ .run = run, .plan = 6 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
