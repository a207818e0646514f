// SPDX-License-Identifier: GPL-2.0
/*
 * A device that is not to keep running is reset when the kernel is replaced, and not
 * before: a register of a network card that its user has written to is what it is after a
 * reset when the next kernel finds it. Without an IOMMU, one that is to keep running is
 * not reset, neither then nor when its driver or its user gets it back.
 */

#include <stdio.h>

#include "vlu.h"

static const char *topology(void)
{
	return "-device pcie-root-port,id=rp1,chassis=1,addr=4\n"
		"-device e1000,bus=rp1,romfile=\n"
		"-device pcie-root-port,id=rp2,chassis=2,addr=5\n"
		"-device e1000,bus=rp2,romfile=";
}

static const struct plu_id e1000[] = {
	VLU_E1000,
	{ }
};

#define RUNNING		(&plu.dev[0])
#define RESET		(&plu.dev[1])
#define SESSION		"vfio-reset"

#define WRITTEN		0x12345000

static struct vfio_pci_device *preserve(int session, struct plu_device *d, struct iommu *iommu,
					__u32 feature)
{
	struct vfio_pci_device *v;

	vlu_bind(d);
	v = vlu_open(d, iommu);
	vlu_e1000_write(d, WRITTEN);
	plu_gives(vlu_set_feature(v->fd, feature), 0, "its user says what to do with it");
	plu_preserve(session, d);

	return v;
}

static void kernel_a(void)
{
	struct iommu *iommu;
	int session;

	vlu_load_driver(true);
	plu_find_devices(2);
	iommu = iommu_init("iommufd");
	session = plu_session(SESSION);
	preserve(session, RUNNING, iommu, VFIO_DEVICE_LIVEUPDATE_RUNNING);
	preserve(session, RESET, iommu, 0);
	plu_ok(vlu_e1000_read(RUNNING) == WRITTEN && vlu_e1000_read(RESET) == WRITTEN,
	       "neither is reset before the jump");
}

/* Did the kernel have to look for a place for its registers? It says so then. */
static bool had_no_address(const struct plu_device *d)
{
	unsigned long long start, end;
	char resources[512], message[96];

	if (plu_read_file(plu_sysfs(d, "resource"), resources, sizeof(resources)) <= 0 ||
	    sscanf(resources, "%llx %llx", &start, &end) != 2)
		plu_bail("%s: no resources", d->bdf);
	snprintf(message, sizeof(message), "%s: BAR 0 [mem 0x%08llx-0x%08llx]: assigned",
		 d->bdf, start, end);

	return plu_times_said(message);
}

static void kernel_b(void)
{
	struct vfio_pci_device *running, *reset;
	struct iommu *iommu;
	int session;

	vlu_load_driver(true);
	plu_take_over();
	plu_check("both are incoming");
	plu_ok(!vlu_e1000_read(RESET), "one was reset");
	plu_ok(!had_no_address(RESET) && !had_no_address(RUNNING), "both are where they were");
	plu_ok(vlu_e1000_read(RUNNING) == WRITTEN, "the other was not");
	vlu_bind(RUNNING);
	vlu_bind(RESET);
	plu_ok(vlu_e1000_read(RUNNING) == WRITTEN, "nor is it when its driver is bound");

	session = plu_retrieve_session(SESSION);
	iommu = iommu_init("iommufd");
	running = vlu_retrieve(session, RUNNING, iommu);
	reset = vlu_retrieve(session, RESET, iommu);
	plu_ok(vlu_e1000_read(RUNNING) == WRITTEN, "nor when its user has it back");
	plu_ok(running->info.flags & VFIO_DEVICE_FLAGS_RESET, "though it could be");
	plu_finish(session);
	plu_check("both are finished");
	vfio_pci_device_cleanup(reset);
	vfio_pci_device_cleanup(running);
	vlu_e1000_write(RUNNING, WRITTEN);
	running = vlu_open(RUNNING, iommu);
	plu_ok(!vlu_e1000_read(RUNNING), "it is when it is opened again");
	vfio_pci_device_cleanup(running);
}

static const struct plu_test test = {
	.name = "vfio_reset",
	.qemu = topology,
	.also = e1000,
	.stage = {
		{ .run = kernel_a, .plan = 3, .cmdline = VLU_CMDLINE_NO_IOMMU },
		{ .run = kernel_b, .plan = 9, .cmdline = VLU_CMDLINE_NO_IOMMU },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
