// SPDX-License-Identifier: GPL-2.0
/*
 * A virtual function cannot be preserved: it is there only when its physical function
 * has made it, which the next kernel cannot do before it enumerates. The physical
 * function can be preserved like any device, with or without virtual ones.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "plu.h"

#define NR_VFS		2

static const char *topology(void)
{
	return "-device nvme-subsys,id=subsys\n"
		"-device pcie-root-port,id=rp1,chassis=1,addr=4\n"
		"-device nvme,bus=rp1,subsys=subsys,serial=1," PLU_NVME_VFS;
}

static const struct plu_id nvme[] = {
	{ 0x1b36, 0x0010 },
	{ }
};

#define SESSION		"vf_refused"
#define SRIOV_MODULE	"pci_liveupdate_sriov"

/* The first virtual function, which is not in the model */
static struct plu_device vf = { .fd = -1 };

static void make_virtual_functions(void)
{
	const struct plu_device *d = &plu.dev[0];
	char parameters[64];

	snprintf(parameters, sizeof(parameters), "device=%s number=%u", d->bdf, NR_VFS);
	plu_gives(plu_load_module("external/" SRIOV_MODULE, parameters), 0,
		  "the device has virtual functions");
	memcpy(vf.bdf, d->bdf, PLU_BDF_SIZE);
	vf.bdf[PLU_BDF_SIZE - 2] = '1';
	plu_gives(plu_driver_override(vf.bdf, PLU_DRIVER), 0, "one of them has the driver");
}

static void refuse(int session)
{
	char message[128];
	unsigned int said;
	int fd = plu_open(&vf);

	if (fd < 0)
		plu_bail("%s: cannot be opened: %s", vf.bdf, strerror(-fd));
	snprintf(message, sizeof(message),
		 "%s: liveupdate: a virtual function cannot be preserved", vf.bdf);
	said = plu_times_said(message);

	plu_gives(plu_command(&vf, "preserve"), -EINVAL, "it cannot be preserved");
	plu_gives(plu_try_preserve(session, fd, 100), -EINVAL, "nor can a file of it");
	plu_ok(plu_times_said(message) == said + 2, "the kernel says why");
	plu_check("nothing has changed");
	close(fd);
}

static void kernel_a(void)
{
	struct plu_device *d;
	int session;

	plu_find_devices(1);
	d = &plu.dev[0];
	plu_gives(plu_driver_override(d->bdf, PLU_DRIVER), 0, "the driver has a device");
	make_virtual_functions();

	session = plu_session(SESSION);
	refuse(session);
	plu_preserve(session, d);
	plu_check("the physical function can be preserved");
	refuse(session);

	plu_gives(plu_driver_override(vf.bdf, NULL), 0, "the virtual one can be unbound");
	plu_gives(plu_unload_module(SRIOV_MODULE), 0, "and go");
	plu_check("the physical function is outgoing");
}

static void kernel_b(void)
{
	struct plu_device *d;
	int session, next;

	plu_take_over();
	d = &plu.dev[0];
	plu_gives(plu_driver_override(d->bdf, PLU_DRIVER), 0, "the driver has the device");
	plu_check("it is incoming");

	make_virtual_functions();
	plu_ok(!plu_is_incoming(&vf), "which is not incoming");
	session = plu_retrieve_session(SESSION);
	plu_retrieve(session, d);
	next = plu_session("next");
	refuse(next);
	plu_finish(session);
	plu_check("the device is finished");
	refuse(next);
}

static const struct plu_test test = {
	.name = "vf_refused",
	.qemu = topology,
	.also = nvme,
	.stage = {
		{ .run = kernel_a, .plan = 15 },
		{ .run = kernel_b, .plan = 14 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
