// SPDX-License-Identifier: GPL-2.0
/*
 * A device that was handed over by vfio-pci is given to a driver that does not know live
 * update, by driver_override. Nobody can have its file back, but the session can be
 * finished, and a device of another driver that was handed over, too, is none of its
 * business: it goes on.
 */

#include <unistd.h>

#include "vlu.h"

static const char *topology(void)
{
	return vlu_slots(2);
}

#define GIVEN		(&plu.dev[0])
#define OTHER		(&plu.dev[1])
#define SESSION		"vfio-given"
#define OTHER_SESSION	"vfio-given-other"
#define DRIVER		"pci_liveupdate_linger"

static void load_drivers(void)
{
	vlu_load_driver(true);
	if (plu_load_module(PLU_DRIVER, "") || plu_load_module("external/" DRIVER, ""))
		plu_bail("drivers can't be loaded");
}

static void kernel_a(void)
{
	load_drivers();
	plu_find_devices(2);
	vlu_bind(GIVEN);
	vlu_open(GIVEN, iommu_init("iommufd"));
	plu_preserve(plu_session(SESSION), GIVEN);
	plu_set_bus_master(OTHER->bdf, true);
	plu_preserve(plu_session(OTHER_SESSION), OTHER);
	plu_check("both are outgoing");
}

static void kernel_b(void)
{
	int session, other;

	load_drivers();
	plu_take_over();
	session = plu_retrieve_session(SESSION);
	other = plu_retrieve_session(OTHER_SESSION);

	plu_write_file("/sys/bus/pci/drivers/vfio-pci/unbind", GIVEN->bdf);
	plu_gives(plu_driver_override(GIVEN->bdf, DRIVER), 0, "one is given to another driver");
	plu_ok(plu_retrieve_fd(session, GIVEN->token) < 0, "its file can't be retrieved");
	plu_gives(vlu_try_finish(session), 0, "but its session can be finished");
	close(session);
	plu_ok(plu_is_bus_master(OTHER->bdf) && !plu_times_said_of(OTHER, "no record says"),
	       "a device of another driver goes on");

	plu_retrieve(other, OTHER);
	plu_gives(vlu_try_finish(other), 0, "and can be finished");
	plu_ok(plu_is_bus_master(OTHER->bdf), "as a device that works");
}

static const struct plu_test test = {
	.name = "vfio_given",
	.qemu = topology,
	.stage = {
		{ .run = kernel_a, .plan = 1, .cmdline = VLU_CMDLINE_NO_IOMMU },
		{ .run = kernel_b, .plan = 6, .cmdline = VLU_CMDLINE_NO_IOMMU },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
