// SPDX-License-Identifier: GPL-2.0
/*
 * The driver of modules/pci_liveupdate_example.c: a module, in C, hands its device
 * over, with no help from the test driver, which has the other devices.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "plu.h"

#define SESSION	"example"
#define DRIVER	"pci_liveupdate_example"
#define NODE	"/dev/" DRIVER
#define TOKEN	1

/* The driver drives edu. */
static struct plu_device *find_edu(void)
{
	struct plu_device *d;

	for (d = plu.dev; d < plu_end(); d++)
		if (d->vendor == 0x1234)
			return d;
	plu_skip("no edu device");
}

/* Take the device from the driver that it has and give it to the example. */
static void bind_example(struct plu_device *d)
{
	int ret = plu_unbind(d);

	if (ret)
		plu_bail("%s: cannot unbind it: %s", d->bdf, strerror(-ret));
	ret = plu_write_file(plu_sysfs(d, "driver_override"), DRIVER "\n");
	if (ret)
		plu_bail("%s: cannot choose its driver: %s", d->bdf, strerror(-ret));
	ret = plu_load_module("external/" DRIVER, "");
	if (ret)
		plu_bail("cannot load " DRIVER ": %s", strerror(-ret));
	if (!plu_exists(NODE))
		plu_bail("%s: " DRIVER " does not drive it", d->bdf);
	d->driver = DRIVER;
}

/* The device answers the complement of what is written to a register of it. */
static bool is_alive(int fd)
{
	__u32 number = 0x12345678, answer = 0;

	return write(fd, &number, sizeof(number)) == sizeof(number) &&
	       read(fd, &answer, sizeof(answer)) == sizeof(answer) &&
	       answer == ~number;
}

static void preserve(void)
{
	struct plu_device *d;
	int session, fd;

	plu_find_devices(2);
	d = find_edu();
	bind_example(d);
	plu_check("the driver has the device");

	fd = open(NODE, O_RDWR);
	plu_ok(is_alive(fd), "which works");
	session = plu_session(SESSION);
	plu_gives(plu_try_preserve(session, fd, TOKEN), 0, "it can be preserved");
	close(fd);
	plu_set_outgoing(d, true);
	plu.nr_outgoing_files++;
	plu_check("it is outgoing");
	plu_gives(plu_unbind(d), -EBUSY, "it cannot be unbound");
	plu_gives(plu_unload_module(DRIVER), -EAGAIN, "its driver cannot be unloaded");
}

static void retrieve(void)
{
	struct plu_device *d;
	int session, fd;

	/* The driver must be there before the first session is asked for. */
	plu_find_devices(2);
	bind_example(find_edu());

	plu_take_over();
	d = find_edu();
	d->driver = DRIVER;
	plu_ok(d->incoming == PLU_INCOMING, "the device was handed over");
	plu_check("it is incoming");

	session = plu_retrieve_session(SESSION);
	fd = plu_retrieve_fd(session, TOKEN);
	plu_ok(fd >= 0 && is_alive(fd), "it is retrieved, and works");
	d->incoming_session = session;
	plu_finish(session);
	plu_check("it is ordinary");
	plu_ok(is_alive(fd), "and works");

	close(fd);
	plu_close_session(session);
	plu_gives(plu_unload_module(DRIVER), 0, "its driver can be unloaded");
	d->driver = NULL;
	plu_check("it has none");
}

static const struct plu_test test = {
	.name = "example",
	.stage = {
		{ .run = preserve, .plan = 6 },
		{ .run = retrieve, .plan = 7 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
