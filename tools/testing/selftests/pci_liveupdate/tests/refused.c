// SPDX-License-Identifier: GPL-2.0
/*
 * Devices that cannot be preserved for what they are, or for what is just happening to
 * them: one whose DMA another device does, one whose own ACS needs a quirk, and one that
 * is about to leave its bus, though it has a driver.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plu.h"

static const char *topology(void)
{
	return "-device nvme-subsys,id=subsys\n"
		"-device nvme,subsys=subsys,serial=1,addr=3\n"
		"-device pcie-root-port,id=rp1,chassis=1,addr=4 -device edu,bus=rp1";
}

/* PCI Express, as what needs a quirk is. */
static const struct plu_id nvme[] = {
	{ 0x1b36, 0x0010 },
	{ }
};

#define ROOT_BUS	"0000:00/03.0"
#define BEHIND_PORT	"0000:00/04.0/00.0"

#define PRETEND		"pci_liveupdate_pretend"
#define PAUSE		"pci_liveupdate_pause"

/* A root port that needs a quirk, of an Intel Sunrise Point */
#define QUIRKY		"vendor=0x8086 id=0xa110 type=4"

static void pretend(struct plu_device *d, const char *what)
{
	char parameters[128];
	int ret;

	snprintf(parameters, sizeof(parameters), "device=%s %s", d->bdf, what);
	ret = plu_load_module("external/" PRETEND, parameters);
	if (ret == -EOPNOTSUPP)
		plu_skip("no device can do the DMA of another without CONFIG_VMD");
	plu_gives(ret, 0, "the kernel takes a device for one that has %s", what);
}

static void stop_pretending(void)
{
	plu_gives(plu_unload_module(PRETEND), 0, "it takes it for what it is");
	plu_ok(plu_is_accepted(plu_at(ROOT_BUS)), "then it can be preserved");
	plu_check("what was refused has left nothing behind");
}

static void that_needs_quirk(void)
{
	struct plu_device *d = plu_at(ROOT_BUS);

	plu_gives(plu_driver_override(d->bdf, PLU_DRIVER), 0, "the driver has a device");
	pretend(d, QUIRKY);
	plu_ok(plu_is_refused(d, "%s needs a device-specific ACS quirk", d->bdf),
	       "it is refused, as it needs a quirk");
	stop_pretending();
}

/* Last, as not every kernel can have such a device. */
static void whose_dma_another_does(void)
{
	struct plu_device *d = plu_at(ROOT_BUS);
	char what[64];

	snprintf(what, sizeof(what), "dma_by=%s", plu_at(BEHIND_PORT)->bdf);
	pretend(d, what);
	plu_ok(plu_is_refused(d, "another device does its DMA"),
	       "it is refused, as another does its DMA");
	stop_pretending();
}

static bool is_at(void *moment)
{
	char text[16];

	if (plu_read_file("/sys/module/" PAUSE "/parameters/at", text, sizeof(text)) <= 0)
		return false;

	return atoi(text) == *(int *)moment;
}

/* A process of its own, as it is held up. */
static int start_to_remove(const struct plu_device *bridge)
{
	char path[128];
	int pid;

	snprintf(path, sizeof(path), "%s", plu_sysfs(bridge, "remove"));
	pid = fork();
	if (pid < 0)
		plu_bail("fork: %s", strerror(errno));
	if (!pid)
		exit(!!plu_write_file(path, "1\n"));

	return pid;
}

static void that_is_leaving(void)
{
	struct plu_device *d = plu_at(BEHIND_PORT), *bridge = plu_upstream(d, 0);
	int without_driver = 1, leaving = 2;
	int pid, status, session, ret;
	char parameters[64];

	snprintf(parameters, sizeof(parameters), "bridge=%s device=%s", bridge->bdf, d->bdf);
	plu_gives(plu_load_module("external/" PAUSE, parameters), 0,
		  "a removal is to be held up");
	pid = start_to_remove(bridge);
	plu_ok(plu_wait_for(is_at, &without_driver),
	       "a bridge is being removed, and all below it has lost its driver");
	ret = plu_bind(d, PLU_DRIVER);
	d->fd = plu_open(d);
	plu_ok(!ret && d->fd >= 0, "a device below it is bound to its driver once more");

	plu_write_file("/sys/module/" PAUSE "/parameters/passed", "1\n");
	plu_ok(plu_wait_for(is_at, &leaving), "it is about to leave its bus, with the driver");
	session = plu_session("refused");
	plu_gives(plu_try_preserve(session, d->fd, d->token), -ENODEV,
		  "it is refused, as it is as good as gone");
	plu_close_session(session);

	plu_gives(plu_unload_module(PAUSE), 0, "its removal goes on");
	plu_ok(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && !WEXITSTATUS(status),
	       "and comes to its end");
	plu_set_absent(bridge);
	plu_check("nothing is left of it");
	close(d->fd);
	d->fd = -1;
	plu_rescan();
	plu_check("it is an ordinary device when it is found again");
	plu_ok(plu_is_accepted(d), "and can be preserved");
}

static void run(void)
{
	plu_find_devices(2);
	that_needs_quirk();
	that_is_leaving();
	whose_dma_another_does();
}

static const struct plu_test test = {
	.name = "refused",
	.qemu = topology,
	.also = nvme,
	.stage = {
		{ .run = run, .plan = 21 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
