// SPDX-License-Identifier: GPL-2.0
/*
 * A device that the next kernel does not find, or finds with another driver than vfio-pci,
 * though of the same family, can't be retrieved; it can be once it is found again, or has
 * vfio-pci. The session of one that is lost can be finished at once; that of one which is
 * there can't.
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
		"-device edu,bus=rp2\n"
		"-device pcie-root-port,id=rp3,chassis=3,addr=6\n"
		"-device edu,bus=rp3";
}

#define LOST		(&plu.dev[0])
#define FOUND		(&plu.dev[1])
#define OTHER		(&plu.dev[2])
#define LOST_SESSION	"vfio-lost"
#define FOUND_SESSION	"vfio-found"
#define OTHER_SESSION	"vfio-other"

static void preserve(struct plu_device *d, const char *session, struct iommu *iommu)
{
	vlu_bind(d);
	vlu_open(d, iommu);
	plu_preserve(plu_session(session), d);
}

static void kernel_a(void)
{
	struct iommu *iommu;

	vlu_load_driver(false);
	plu_find_devices(3);
	iommu = iommu_init("iommufd");
	preserve(LOST, LOST_SESSION, iommu);
	preserve(FOUND, FOUND_SESSION, iommu);
	preserve(OTHER, OTHER_SESSION, iommu);
	plu_check("three devices are outgoing");
}

static void lose_and_find(struct iommu *iommu)
{
	int session = plu_retrieve_session(FOUND_SESSION);
	struct vfio_pci_device *v;

	if (plu_remove(FOUND))
		plu_bail("cannot remove a device");
	plu_gives(plu_retrieve_fd(session, FOUND->token), -ENODEV,
		  "a device that is removed can't be retrieved");
	plu_rescan();
	vlu_bind(FOUND);
	v = vlu_retrieve(session, FOUND, iommu);
	plu_ok(vlu_edu_is_alive(v, 1), "it can when it is found again");
	plu_gives(vlu_get_origin(v->fd), VFIO_DEVICE_LIVEUPDATE_WAS_REMOVED,
		  "its file says what has become of it");
	plu_finish(session);
	plu_ok(!plu_is_incoming(FOUND), "it is finished");
}

static void lose(void)
{
	int session = plu_retrieve_session(LOST_SESSION);

	if (plu_remove(LOST))
		plu_bail("cannot remove a device");
	LOST->incoming_session = session;
	plu_finish(session);
	/* The bridge above it is there, and finished with it. */
	plu_upstream(LOST, 0)->messages[PLU_MSG_FINISHED]++;
	plu_ok(true, "the session of one that is lost can be finished without a try");
}

static void change_driver(struct iommu *iommu)
{
	int session = plu_retrieve_session(OTHER_SESSION);
	struct vfio_pci_device *v;

	if (plu_load_module("external/vfio_pci_variant", "") ||
	    plu_driver_override(OTHER->bdf, "vfio-pci-variant"))
		plu_bail("cannot bind another driver");
	plu_gives(plu_retrieve_fd(session, OTHER->token), -ENODEV,
		  "a device with another driver can't be retrieved");
	plu_gives(vlu_try_finish(session), -EBUSY, "nor be finished, as it is there");
	plu_ok(plu_is_incoming(OTHER), "it is incoming");
	vlu_bind(OTHER);
	plu_gives(vlu_try_open(OTHER), -EBUSY, "nobody can open it when it has vfio-pci again");
	v = vlu_retrieve(session, OTHER, iommu);
	plu_ok(vlu_edu_is_alive(v, 2), "it can be retrieved then");
	plu_gives(vlu_get_origin(v->fd), VFIO_DEVICE_LIVEUPDATE_NOT_ASKED,
		  "and says that it was not to keep running");
	plu_finish(session);
}

static void kernel_b(void)
{
	struct iommu *iommu = iommu_init("iommufd");

	vlu_load_driver(false);
	plu_take_over();
	lose_and_find(iommu);
	lose();
	change_driver(iommu);
	plu_check("the hand-over has ended");
	plu_rescan();
	vlu_bind(LOST);
	plu_ok(vlu_edu_is_alive(vlu_open(LOST, iommu), 3),
	       "what was lost is an ordinary device when it is found again");
	plu_check("as all are");
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
