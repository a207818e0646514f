// SPDX-License-Identifier: GPL-2.0
/*
 * A device that was left running without an IOMMU, and comes to a kernel that has one: its
 * DMA has ended, so it is stopped like any other when its user has it back, and this is
 * said. It may also come to a group that somebody has open, and can't be got from it.
 */

#include <errno.h>
#include <unistd.h>

#include "vlu.h"

static const char *topology(void)
{
	return "-device intel-iommu\n"
		"-device pcie-root-port,id=rp1,chassis=1,addr=4\n"
		"-device pcie-pci-bridge,id=pci1,bus=rp1\n"
		"-device edu,bus=pci1,addr=1\n"
		"-device edu,bus=pci1,addr=2";
}

#define DEVICE	(&plu.dev[0])
/* In the same group, once there is an IOMMU */
#define OTHER	(&plu.dev[1])
#define SESSION	"vfio-iommu"

static void without_iommu(void)
{
	struct vfio_pci_device *v;

	vlu_load_driver(true);
	plu_find_devices(2);
	vlu_bind(DEVICE);
	v = vlu_open(DEVICE, iommu_init("iommufd"));
	plu_gives(vlu_set_feature(v->fd, VFIO_DEVICE_LIVEUPDATE_RUNNING), 0,
		  "a device is to keep running");
	vfio_pci_cmd_set(v, PCI_COMMAND_MASTER);
	plu_preserve(plu_session(SESSION), DEVICE);
	plu_check("it is outgoing");
}

static void with_iommu(void)
{
	struct vfio_pci_device *v;
	int session, group;

	vlu_load_driver(false);
	plu_take_over();
	/* It binds itself to what it is to give back. */
	if (plu_driver_override(DEVICE->bdf, NULL))
		plu_bail("%s: can't be unbound", DEVICE->bdf);
	vlu_bind(OTHER);
	group = vlu_try_open_group(OTHER);
	plu_ok(group >= 0, "the group of another device is opened");
	vlu_bind(DEVICE);
	plu_gives(vlu_try_get_from_group(group, DEVICE), -EBUSY,
		  "the device comes to it, but can't be got from it");
	close(group);
	plu_gives(vlu_try_open_group(OTHER), -EBUSY, "nor can the group be opened any more");
	plu_check("it is incoming");
	session = plu_retrieve_session(SESSION);
	v = vlu_retrieve(session, DEVICE, iommu_init("iommufd"));
	plu_gives(vlu_get_origin(v->fd), VFIO_DEVICE_LIVEUPDATE_NEEDS_IOMMU, "its file says why");
	plu_ok(plu_says_once("did not keep running, as its DMA needs the IOMMU now"),
	       "its DMA has ended");
	plu_ok(!plu_is_bus_master(DEVICE->bdf), "it is stopped");
	plu_ok(vlu_edu_is_alive(v, 1), "and works");
	plu_finish(session);
	plu_check("it is finished");
}

static const struct plu_test test = {
	.name = "vfio_iommu",
	.qemu = topology,
	.stage = {
		{ .run = without_iommu, .plan = 2, .cmdline = VLU_CMDLINE_NO_IOMMU },
		{ .run = with_iommu, .plan = 9, .cmdline = VLU_CMDLINE " iommu=pt" },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
