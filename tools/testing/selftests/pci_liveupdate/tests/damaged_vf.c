// SPDX-License-Identifier: GPL-2.0
/*
 * A hand-over with the record of a virtual function, which no kernel preserves: it is not
 * incoming when it is made, for nobody could tell whether it is the one that is meant.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "plu.h"

static const char *topology(void)
{
	return "-device nvme-subsys,id=subsys\n"
		"-device pcie-root-port,id=rp1,chassis=1,addr=4\n"
		"-device nvme,id=pf,bus=rp1,subsys=subsys,serial=1,max_ioqpairs=6\n"
		"-set device.pf.msix_qsize=4\n"
		"-set device.pf.sriov_max_vfs=2\n"
		"-set device.pf.sriov_vq_flexible=4\n"
		"-set device.pf.sriov_vi_flexible=2";
}

static const struct plu_id nvme[] = {
	{ 0x1b36, 0x0010 },
	{ }
};

#define SESSION		"damaged_vf"
#define MODULE		"pci_liveupdate_sriov"

/* The first virtual function of a device, which is not in the model */
static const char *virtual_function(const struct plu_device *d)
{
	static char bdf[PLU_BDF_SIZE];

	memcpy(bdf, d->bdf, PLU_BDF_SIZE);
	bdf[PLU_BDF_SIZE - 2] = '1';

	return bdf;
}

static void be_virtual_function(struct plu_handover *h)
{
	const struct plu_device *d = &plu.dev[0];

	plu_set_address(plu_record_of(h, d), virtual_function(d));
}

static const struct plu_lie lie = { "a virtual function", be_virtual_function };

static void preserve_and_lie(void)
{
	struct plu_device *d;

	plu_find_devices(1);
	d = &plu.dev[0];
	plu_gives(plu_driver_override(d->bdf, PLU_DRIVER), 0, "the driver has a device");
	plu_preserve(plu_session(SESSION), d);
	plu_check("the device is outgoing");
	plu_tell(&lie);
}

static void find_virtual_function(void)
{
	char parameters[64], message[96];
	struct plu_device *d;
	int session;

	plu_take_over();
	d = &plu.dev[0];
	d->incoming = PLU_ORDINARY;
	plu_gives(plu_driver_override(d->bdf, PLU_DRIVER), 0, "the driver has the device");

	snprintf(parameters, sizeof(parameters), "device=%s number=2", d->bdf);
	plu_gives(plu_load_module("external/" MODULE, parameters), 0,
		  "it has virtual functions");
	snprintf(message, sizeof(message), "%s: liveupdate: preserved by the previous kernel",
		 virtual_function(d));
	plu_ok(!plu_times_said(message) && plu_is_consistent(),
	       "the one that has a record is not incoming");

	session = plu_retrieve_session(SESSION);
	plu_gives(plu_retrieve_fd(session, d->token), -ENODEV,
		  "neither is the device, whose record it was");
	d->incoming_session = session;
	plu_finish(session);
	plu_ok(plu_is_consistent(), "the session can be finished");
	plu_gives(plu_unload_module(MODULE), 0, "the virtual functions go");
}

static const struct plu_test test = {
	.name = "damaged_vf",
	.qemu = topology,
	.also = nvme,
	.stage = {
		{ .run = preserve_and_lie, .plan = 2 },
		{ .run = find_virtual_function, .plan = 6 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
