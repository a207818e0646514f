// SPDX-License-Identifier: GPL-2.0
/*
 * A device is being removed when the kernel is about to be replaced. If that takes long, the
 * jump is refused, and devices can be removed after that as ever. If it does not, the jump
 * waits for it, also when others have to be removed for it.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plu.h"

static const char *topology(void)
{
	return "-device edu,addr=3\n"
		"-device pcie-root-port,id=rp1,chassis=1,addr=4\n"
		"-device pci-testdev,bus=rp1,addr=0.0,multifunction=on\n"
		"-device pci-testdev,bus=rp1,addr=0.1,multifunction=on";
}

#define KEPT		"0000:00/03.0"
#define FIRST		"0000:01:00.0"
#define SECOND		"0000:01:00.1"
#define SESSION		"removal_in_jump"
#define LINGER		"pci_liveupdate_linger"
#define TAKES_TIME	"/sys/module/" LINGER "/parameters/remove_ms"
#define AND_THE_NEXT	"/sys/module/" LINGER "/parameters/remove_next"

#define SECONDS		10

static bool removes(const char *bdf)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/remove", bdf);

	return !plu_write_file(path, "1\n");
}

/* By a process of its own, which waits for it. */
static pid_t begin_to_remove(const char *bdf)
{
	pid_t pid = fork();

	if (pid < 0)
		plu_bail("fork");
	if (!pid)
		exit(!removes(bdf));

	return pid;
}

static bool has_ended(void *pid)
{
	int status;

	return waitpid(*(pid_t *)pid, &status, WNOHANG) == *(pid_t *)pid;
}

static void linger(const char *bdf, const char *how_long)
{
	int ret = plu_load_module("external/" LINGER, "");

	if ((ret && ret != -EEXIST) || plu_write_file(TAKES_TIME, how_long) ||
	    plu_driver_override(bdf, LINGER))
		plu_bail("%s can't take its time", bdf);
}

static void kernel_a(void)
{
	pid_t slow, quick;
	int ret;

	plu_find_devices(3);
	plu_preserve(plu_session(SESSION), plu_at(KEPT));

	linger(SECOND, "4000");
	slow = begin_to_remove(SECOND);
	plu_ok(plu_waits(slow), "removing a device takes long");
	ret = plu_reboot();
	plu_gives(ret, -EBUSY, "the jump is refused");
	plu_ok(plu_wait_seconds(SECONDS, has_ended, &slow), "it is removed");
	quick = begin_to_remove(FIRST);
	plu_ok(plu_wait_seconds(SECONDS, has_ended, &quick), "so can be others then");
	if (plu_write_file("/sys/bus/pci/rescan", "1\n"))
		plu_bail("they are not found again");
}

/* After some time its driver removes another one for it. */
static void remove_both(void)
{
	pid_t pid;

	linger(FIRST, "400");
	if (plu_write_file(AND_THE_NEXT, "1"))
		plu_bail("no other is removed with it");
	pid = begin_to_remove(FIRST);
	if (!plu_waits(pid))
		plu_bail("it is removed at once");
}

static void kernel_b(void)
{
	plu_take_over_some();
	plu_ok(plu_is_incoming(plu_at(KEPT)), "the kernel was replaced");
}

static const struct plu_test test = {
	.name = "removal_in_jump",
	.qemu = topology,
	.stage = {
		{ .run = kernel_a, .plan = 4, .before_jump = remove_both },
		{ .run = kernel_b, .plan = 1 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
