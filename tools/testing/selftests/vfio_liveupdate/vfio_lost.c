// SPDX-License-Identifier: GPL-2.0
/*
 * A device that the next kernel does not find, or finds with another driver than vfio-pci,
 * though of the same family, can't be retrieved. A session that has lost its device can be
 * finished all the same; one whose device is there, but was asked for in vain, can't, and
 * the device stays what it is until it is removed.
 */

#include <errno.h>
#include <unistd.h>

#include "vlu.h"

static const char *topology(void)
{
	return "-device intel-iommu\n"
		"-device pcie-root-port,id=rp1,chassis=1,addr=4\n"
		"-device edu,bus=rp1\n"
		"-device pcie-root-port,id=rp2,chassis=2,addr=5\n"
		"-device edu,bus=rp2";
}

#define LOST		(&plu.dev[0])
#define OTHER		(&plu.dev[1])
#define LOST_SESSION	"vfio-lost"
#define OTHER_SESSION	"vfio-other"

static void kernel_a(void)
{
	struct iommu *iommu;

	vlu_load_driver(false);
	plu_find_devices(2);
	iommu = iommu_init("iommufd");
	vlu_bind(LOST);
	vlu_open(LOST, iommu);
	vlu_bind(OTHER);
	vlu_open(OTHER, iommu);
	plu_preserve(plu_session(LOST_SESSION), LOST);
	plu_preserve(plu_session(OTHER_SESSION), OTHER);
	plu_check("two devices are outgoing");
}

static void kernel_b(void)
{
	struct iommu *iommu = iommu_init("iommufd");
	int lost, other;

	vlu_load_driver(false);
	plu_take_over();
	plu_check("two devices are incoming");
	if (plu_remove(LOST))
		plu_bail("cannot remove a device");
	plu_check("one is removed");

	if (plu_load_module("external/vfio_pci_variant", "") ||
	    plu_driver_override(OTHER->bdf, "vfio-pci-variant"))
		plu_bail("cannot bind another driver");
	lost = plu_retrieve_session(LOST_SESSION);
	other = plu_retrieve_session(OTHER_SESSION);
	plu_gives(vlu_try_finish(lost), -EBUSY, "it can't be finished without a try");
	plu_gives(plu_retrieve_fd(lost, LOST->token), -ENODEV, "it can't be retrieved");
	LOST->incoming_session = lost;
	plu_gives(plu_retrieve_fd(other, OTHER->token), -ENODEV,
		  "nor can the one with another driver");
	plu_gives(vlu_try_finish(other), -EBUSY, "which can't be finished, as it is there");
	plu_finish(lost);
	plu_check("the session of the one that is lost can be finished");
	vlu_bind(OTHER);
	plu_gives(vlu_try_open(OTHER), -EBUSY, "the other one can't be opened by anybody");
	plu_check("it stays incoming");

	plu_gives(plu_remove(OTHER), 0, "it can be removed");
	OTHER->incoming_session = other;
	plu_finish(other);
	plu_check("its session can be finished then, and the hand-over has ended");
	plu_rescan();
	plu_check("both devices are ordinary ones when they are found again");
	for (unsigned int i = 0; i < plu.nr_devices; i++) {
		vlu_bind(&plu.dev[i]);
		plu_ok(vlu_edu_is_alive(vlu_open(&plu.dev[i], iommu), i), "which can be opened");
	}
}

static const struct plu_test test = {
	.name = "vfio_lost",
	.qemu = topology,
	.stage = {
		{ .run = kernel_a, .plan = 1, .cmdline = VLU_CMDLINE },
		{ .run = kernel_b, .plan = 14, .cmdline = VLU_CMDLINE },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
