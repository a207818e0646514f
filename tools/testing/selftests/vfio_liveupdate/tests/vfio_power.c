// SPDX-License-Identifier: GPL-2.0
/*
 * vfio-pci lets a device sleep while nobody has it open; but not one that is handed over,
 * as it may be at work, until its user has finished it and closes it. One that its user
 * put to sleep is woken before it is handed over.
 */

#include "vlu.h"

static const char *topology(void)
{
	return "-device intel-iommu\n"
		"-device pcie-root-port,id=rp1,chassis=1,addr=4\n"
		"-device e1000e,bus=rp1,romfile=\n"
		"-device pcie-root-port,id=rp2,chassis=2,addr=5\n"
		"-device e1000e,bus=rp2,romfile=";
}

static const struct plu_id e1000e[] = {
	{ 0x8086, 0x10d3 },
	{ }
};

#define DEVICE		(&plu.dev[0])
#define OTHER		(&plu.dev[1])
#define SESSION		"vfio-power"

static void kernel_a(void)
{
	struct vfio_pci_device *v;
	struct iommu *iommu;
	int session;

	vlu_load_driver(false);
	plu_find_devices(2);
	vlu_bind(DEVICE);
	plu_ok(plu_wait_for(vlu_is_asleep, DEVICE), "a device that nobody has open sleeps");
	iommu = iommu_init("iommufd");
	v = vlu_open(DEVICE, iommu);
	plu_ok(vlu_is_awake(DEVICE), "it is awake when it is opened");
	session = plu_session(SESSION);
	plu_preserve(session, DEVICE);
	plu_check("it is outgoing");
	plu_close_session(session);
	vfio_pci_device_cleanup(v);
	DEVICE->fd = -1;
	plu_ok(plu_wait_for(vlu_is_asleep, DEVICE), "it sleeps when it is unpreserved and closed");

	v = vlu_open(DEVICE, iommu);
	plu_preserve(plu_session(SESSION), DEVICE);
	vlu_set_asleep(v, DEVICE, true);
	plu_ok(vlu_is_asleep(DEVICE), "its user can put it to sleep");
	plu_check("it is outgoing again");
}

static void kernel_b(void)
{
	struct vfio_pci_device *v;
	struct iommu *iommu;
	int session;

	vlu_load_driver(false);
	plu_take_over();
	iommu = iommu_init("iommufd");
	vlu_bind(DEVICE);
	vlu_bind(OTHER);
	/* It was bound later. */
	plu_ok(plu_wait_for(vlu_is_asleep, OTHER), "a device that was not handed over sleeps");
	plu_ok(vlu_is_awake(DEVICE), "one that was does not");
	plu_gives(plu_unbind(DEVICE), 0, "its driver can be unbound");
	vlu_bind(DEVICE);
	vfio_pci_device_cleanup(vlu_open(OTHER, iommu));
	plu_ok(plu_wait_for(vlu_is_asleep, OTHER) && vlu_is_awake(DEVICE),
	       "nor does it when it is back");
	plu_check("it is incoming");
	session = plu_retrieve_session(SESSION);
	v = vlu_retrieve(session, DEVICE, iommu);
	plu_ok(vlu_is_awake(DEVICE), "nor when it is open");
	plu_finish(session);
	vfio_pci_device_cleanup(vlu_open(OTHER, iommu));
	plu_ok(plu_wait_for(vlu_is_asleep, OTHER) && vlu_is_awake(DEVICE),
	       "nor when it is finished");
	vfio_pci_device_cleanup(v);
	DEVICE->fd = -1;
	plu_ok(plu_wait_for(vlu_is_asleep, DEVICE), "it sleeps when it is closed");
	v = vlu_open(DEVICE, iommu);
	plu_ok(vlu_is_awake(DEVICE), "it is awake when it is opened");
	vfio_pci_device_cleanup(v);
	DEVICE->fd = -1;
	plu_ok(plu_wait_for(vlu_is_asleep, DEVICE), "and sleeps again");
	plu_check("it is finished");
}

static const struct plu_test test = {
	.name = "vfio_power",
	.qemu = topology,
	.also = e1000e,
	.stage = {
		{ .run = kernel_a, .plan = 6, .cmdline = VLU_CMDLINE },
		{ .run = kernel_b, .plan = 11, .cmdline = VLU_CMDLINE },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
