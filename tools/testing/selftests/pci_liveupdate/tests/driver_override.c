// SPDX-License-Identifier: GPL-2.0
/*
 * Userspace can give an incoming device to a driver that knows nothing of live update, by
 * driver_override. That ends its live update: it is stopped before the driver has it, the
 * kernel says so, and its file can't be retrieved any more. The device works with that
 * driver, its session can be finished, and another device does not notice.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libliveupdate.h>

#include "native.h"
#include "plu.h"

static const char *topology(void)
{
	return "-drive if=none,id=disk,format=raw,file=null-co://,file.read-zeroes=on\n"
		"-device pcie-root-port,id=rp1,chassis=1,addr=4\n"
		"-device nvme,bus=rp1,serial=1,drive=disk\n"
		"-device pcie-root-port,id=rp2,chassis=2,addr=5\n"
		"-device edu,bus=rp2";
}

static const struct plu_id devices[] = {
	{ 0x1b36, 0x0010 },
	{ }
};

static const char * const modules[] = { "nvme-core", "nvme", NULL };

#define NVME		"0000:00/04.0/00.0"
#define OTHER		"0000:00/05.0/00.0"

#define NVME_SESSION	"driver_override"
#define OTHER_SESSION	"driver_override-other"
#define COOKIE		0x0ce4

#define DRIVER		"nvme"
#define DISK		"/dev/nvme0n1"
#define SPY		"pci_liveupdate_spy"

#define STOPPED		"stopped, as driver_override binds it to %s, which does not know live " \
			"update: its file can't be retrieved any more"

static void kernel_a(void)
{
	struct plu_device *d;

	plu_find_devices(2);
	if (plu_driver_override(plu_at(NVME)->bdf, PLU_DRIVER))
		plu_bail("the driver cannot have an nvme");
	plu_set_cookie(plu_at(OTHER), COOKIE);
	for (d = plu.dev; d < plu_end(); d++)
		plu_set_bus_master(d->bdf, true);
	plu_preserve(plu_session(NVME_SESSION), plu_at(NVME));
	plu_preserve(plu_session(OTHER_SESSION), plu_at(OTHER));
	plu_check("an nvme and another device are outgoing");
}

static void spy_on(const struct plu_device *d)
{
	char parameters[64];

	snprintf(parameters, sizeof(parameters), "device=%s", d->bdf);
	if (plu_load_module("external/" SPY, parameters))
		plu_bail("%s: no spy", d->bdf);
}

/* How often was bus mastering switched off? The driver does not do that. */
static int times_switched_off(void)
{
	char count[16];

	if (plu_read_file("/sys/module/" SPY "/parameters/switched_off", count,
			  sizeof(count)) <= 0)
		plu_bail("the spy says nothing");

	return atoi(count);
}

/* Each time it is read where it has not been read before, nor ahead. */
static bool can_be_read(void *unused)
{
	static unsigned int megabyte;
	int fd = open(DISK, O_RDONLY);
	char block[4096];
	bool ok;

	if (fd < 0)
		return false;
	ok = lseek(fd, ++megabyte << 20, SEEK_SET) >= 0 &&
	     read(fd, block, sizeof(block)) == sizeof(block);
	close(fd);

	return ok;
}

static void give_away(struct plu_device *d)
{
	plu_ok(plu_is_bus_master(d->bdf), "the nvme is a bus master");
	native_load(modules);
	plu_check("its own driver does not get it");
	spy_on(d);
	plu_gives(plu_driver_override(d->bdf, DRIVER), 0, "it does by driver_override");
	plu_ok(plu_times_said_of(d, STOPPED, DRIVER) == 1, "the kernel says what that means");
	plu_ok(times_switched_off(), "the nvme was stopped");
	plu_gives(plu_unload_module(SPY), 0, "it is not watched any more");
	plu_ok(!plu_is_incoming(d), "it is not incoming any more");
	plu_ok(native_drives(DRIVER, d) && plu_wait_for(can_be_read, NULL), "and works");
}

static void end_session(const struct plu_device *d)
{
	int session = plu_retrieve_session(NVME_SESSION);
	int fd = plu_retrieve_fd(session, d->token);

	plu_ok(fd < 0, "its file cannot be retrieved: %s", strerror(fd < 0 ? -fd : 0));
	plu_gives(luo_session_finish(session), 0, "its session can be finished");
	close(session);
	plu.nr_incoming_files--;
	plu_ok(native_drives(DRIVER, d) && can_be_read(NULL), "the nvme works on");
}

static void use_other(struct plu_device *d)
{
	int session;

	plu_ok(plu_is_incoming(d) && plu_is_bus_master(d->bdf),
	       "the other device is incoming, and a bus master");
	session = plu_retrieve_session(OTHER_SESSION);
	plu_retrieve(session, d);
	plu_ok(plu_file_is(d->fd, d, COOKIE), "it is retrieved, works, and has the cookie");
	plu_finish(session);
	plu_ok(!plu_is_incoming(d), "it is finished");
}

static void kernel_b(void)
{
	plu_take_over();
	plu_check("both are incoming");
	give_away(plu_at(NVME));
	end_session(plu_at(NVME));
	use_other(plu_at(OTHER));
	plu_ok(!strcmp(plu_status("handover"), "finished") && plu_is_consistent(),
	       "the hand-over has ended");
	plu_ok(can_be_read(NULL), "the nvme has not noticed");
}

static const struct plu_test test = {
	.name = "driver_override",
	.qemu = topology,
	.also = devices,
	.stage = {
		{ .run = kernel_a, .plan = 1 },
		{ .run = kernel_b, .plan = 17 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
