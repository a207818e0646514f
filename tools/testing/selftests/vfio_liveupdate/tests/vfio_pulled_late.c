// SPDX-License-Identifier: GPL-2.0
/*
 * A device that is pulled out when the jump can't be called off any more does not keep it
 * from happening, though its user, who lives, does not let go of it.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vlu.h"

static const char *topology(void)
{
	return vlu_slots(2);
}

#define PULLED	plu_at("0000:00/04.0/00.0")
#define OTHER	plu_at("0000:00/04.1/00.0")
#define SESSION	"vfio-pulled-late"

static void kernel_a(void)
{
	struct iommu *iommu;
	int session;

	vlu_load_driver(false);
	plu_find_devices(2);
	iommu = iommu_init("iommufd");
	session = plu_session(SESSION);
	for (struct plu_device *d = plu.dev; d < plu_end(); d++) {
		vlu_bind(d);
		vlu_open(d, iommu);
		plu_preserve(session, d);
	}
	plu_check("two devices are outgoing");
}

static void pull_out(void)
{
	char parameters[64];

	plu_find_devices(2);
	snprintf(parameters, sizeof(parameters), "device=%s", PULLED->bdf);
	if (plu_load_module("external/vfio_pull_late", parameters))
		plu_bail("%s: can't be pulled out later", PULLED->bdf);
}

static void kernel_b(void)
{
	int session;

	vlu_load_driver(false);
	plu_take_over_some();
	plu_ok(!vlu_is_there(PULLED), "the kernel was replaced, and the device is not there");
	session = plu_retrieve_session(SESSION);
	plu_gives(plu_retrieve_fd(session, PULLED->token), -ENODEV, "it can't be retrieved");
	plu_ok(vlu_edu_is_alive(vlu_retrieve(session, OTHER, iommu_init("iommufd")), 1),
	       "the other one can");
	plu_gives(vlu_try_finish(session), 0, "and the session be finished");
}

static const struct plu_test test = {
	.name = "vfio_pulled_late",
	.qemu = topology,
	.stage = {
		{ .run = kernel_a, .plan = 1, .cmdline = VLU_CMDLINE, .before_jump = pull_out },
		{ .run = kernel_b, .plan = 4, .cmdline = VLU_CMDLINE },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
