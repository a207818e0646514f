// SPDX-License-Identifier: GPL-2.0
/*
 * How long does the kernel take to enumerate PCI devices? To be the first process of an
 * initramfs, in a QEMU that counts instructions as time (-icount shift=0), so that the
 * nanoseconds below are instructions, and nothing else has an influence on them.
 * scripts/enumeration-cost.sh does that, with kernels that are to be compared.
 *
 * Prints what it took to boot up to here, and to find again all that is below the port
 * at 0000:00:04.0 once it has been removed, if there is anything:
 *
 *	cost: boot NANOSECONDS
 *	cost: rescan DEVICES NANOSECONDS, on average
 *	cost: done, or error TEXT
 */

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "kselftest.h"

/*
 * The first rounds differ, as memory is taken from here and there. In the others, there
 * is an interrupt of the timer more or less.
 */
#define ROUNDS_BEFORE	20
#define ROUNDS		20

/* The kernel frees what was removed in the background. */
#define SETTLE_MS	100

#define DEVICES	"/sys/bus/pci/devices"
#define BELOW	DEVICES "/0000:00:04.0/0000:01:00.0"

/* One write, for every piece of a line would be shown with a time of its own. */
static void __printf(1, 2) say(const char *fmt, ...)
{
	char line[128];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	write(STDOUT_FILENO, line, strlen(line));
}

static void __noreturn finish(const char *how)
{
	say("cost: %s\n", how);
	reboot(LINUX_REBOOT_CMD_POWER_OFF);
	exit(EXIT_FAILURE);
}

static long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC_RAW, &time);

	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static unsigned int count_devices(void)
{
	struct dirent entry, *e;
	unsigned int count = 0;
	DIR *dir = opendir(DEVICES);

	if (!dir)
		finish("error no " DEVICES);
	while (!readdir_r(dir, &entry, &e) && e)
		count += e->d_name[0] != '.';
	closedir(dir);

	return count;
}

static void order(const char *path)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, "1", 1) != 1)
		finish("error sysfs does not do what it is told");
	close(fd);
}

static long long measure(unsigned int devices)
{
	unsigned int all = count_devices();
	long long start, end;

	order(BELOW "/remove");
	if (count_devices() != all - devices)
		finish("error not all devices are removed");
	poll(NULL, 0, SETTLE_MS);

	start = now();
	order("/sys/bus/pci/rescan");
	end = now();
	if (count_devices() != all)
		finish("error not all devices come back");

	return end - start;
}

int main(void)
{
	long long boot = now(), sum = 0;
	unsigned int devices;

	mkdir("/sys", 0755);
	if (mount("none", "/sys", "sysfs", 0, NULL))
		finish("error no sysfs");
	say("cost: boot %lld\n", boot);
	if (access(BELOW, F_OK))
		finish("done");

	devices = count_devices();
	order(BELOW "/remove");
	devices -= count_devices();
	order("/sys/bus/pci/rescan");

	for (int i = 0; i < ROUNDS_BEFORE; i++)
		measure(devices);
	for (int i = 0; i < ROUNDS; i++)
		sum += measure(devices);
	say("cost: rescan %u %lld\n", devices, sum / ROUNDS);
	finish("done");
}
