// SPDX-License-Identifier: GPL-2.0
/*
 * While the machine shuts down to jump, its processes run on. One of them keeps switching
 * on bus mastering of a device that is not handed over, after the kernel has switched it
 * off for good: what it writes is refused, and the next kernel finds bus mastering off.
 *
 * Devices are shut down in the order opposite to that in which they were found, and the
 * first one has a driver that takes its time then.
 */

#include <fcntl.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include "plu.h"

static const char *topology(void)
{
	return "-device pci-testdev,addr=3 -device edu,addr=4 -device edu,addr=5";
}

#define LINGERS	"0000:00/03.0"
#define KEPT	"0000:00/04.0"
#define OTHER	"0000:00/05.0"

#define SESSION	"user_writes"

static void kernel_a(void)
{
	plu_find_devices(3);
	plu_gives(plu_load_module("external/pci_liveupdate_linger", ""), 0,
		  "there is a driver that takes its time");
	plu_gives(plu_driver_override(plu_at(LINGERS)->bdf, "pci_liveupdate_linger"), 0,
		  "a device has it");
	plu_at(LINGERS)->driver = "pci_liveupdate_linger";
	plu_set_bus_master(plu_at(OTHER)->bdf, true);
	plu_preserve(plu_session(SESSION), plu_at(KEPT));
	plu_check("another device is outgoing");
}

/* The child goes on until there is no kernel any more, whatever becomes of a write. */
static void keep_writing(void)
{
	__u16 command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	int fd;

	plu_find_devices(0);
	fd = open(plu_sysfs(plu_at(OTHER), "config"), O_RDWR);
	if (fd < 0 || fork())
		return;
	for (;;) {
		lseek(fd, PCI_COMMAND, SEEK_SET);
		write(fd, &command, sizeof(command));
		usleep(1000);
	}
}

static void kernel_b(void)
{
	int session;

	plu_take_over_some();
	plu_ok(!plu_is_bus_master(plu_at(OTHER)->bdf),
	       "bus mastering of the device that was not handed over is off");
	session = plu_retrieve_session(SESSION);
	plu_retrieve(session, plu_at(KEPT));
	plu_finish(session);
	plu_set_bus_master(plu_at(OTHER)->bdf, true);
	plu_ok(plu_is_bus_master(plu_at(OTHER)->bdf), "and can be switched on again");
}

static const struct plu_test test = {
	.name = "user_writes",
	.qemu = topology,
	.stage = {
		{ .run = kernel_a, .plan = 3, .before_jump = keep_writing },
		{ .run = kernel_b, .plan = 2 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
