// SPDX-License-Identifier: GPL-2.0
/*
 * Devices that can only be reset together with others: none of them is, neither at the
 * wish of a user nor because one is closed, while one of them is handed over.
 */

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vlu.h"

/* Behind the same bridge, without a reset of their own */
static const char *topology(void)
{
	return "-device pcie-root-port,id=rp1,chassis=1,addr=4\n"
		"-device pcie-pci-bridge,id=pci1,bus=rp1\n"
		"-device e1000,bus=pci1,addr=1,romfile=\n"
		"-device e1000,bus=pci1,addr=2,romfile=";
}

static const struct plu_id e1000[] = {
	VLU_E1000,
	{ }
};

/* The first on its bus was alone there when the PCI core asked how it can be reset. */
#define KEPT		(&plu.dev[1])
#define OTHER		(&plu.dev[0])
#define SESSION		"vfio-bus-reset"
#define WRITTEN		0x12345000

/* Both are reset, or none. */
static int try_reset(struct vfio_pci_device *v)
{
	struct vfio_pci_hot_reset reset = { .argsz = sizeof(reset) };

	return ioctl(v->fd, VFIO_DEVICE_PCI_HOT_RESET, &reset) ? -errno : 0;
}

static void kernel_a(void)
{
	struct vfio_pci_device *kept, *other;
	struct iommu *iommu;

	vlu_load_driver(true);
	plu_find_devices(2);
	iommu = iommu_init("iommufd");
	vlu_bind(KEPT);
	vlu_bind(OTHER);
	kept = vlu_open(KEPT, iommu);
	other = vlu_open(OTHER, iommu);
	vlu_e1000_write(KEPT, WRITTEN);
	plu_gives(try_reset(other), 0, "both devices can be reset together");
	plu_ok(!vlu_e1000_read(KEPT), "which resets the one");
	vlu_e1000_write(KEPT, WRITTEN);
	plu_gives(vlu_set_feature(kept->fd, VFIO_DEVICE_LIVEUPDATE_RUNNING), 0,
		  "it is to keep running");
	plu_preserve(plu_session(SESSION), KEPT);
	plu_gives(try_reset(other), -EINVAL, "once it is preserved they can't be reset");
	plu_gives(try_reset(kept), -EINVAL, "not by its own user either");
	plu_ok(vlu_e1000_read(KEPT) == WRITTEN, "nothing has changed");
	plu_check("one is outgoing");
}

static void open_and_close(struct plu_device *d, struct iommu *iommu)
{
	vfio_pci_device_cleanup(vlu_open(d, iommu));
	d->fd = -1;
}

static void kernel_b(void)
{
	struct vfio_pci_device *kept;
	struct iommu *iommu;
	int session;

	vlu_load_driver(true);
	plu_take_over();
	vlu_bind(KEPT);
	vlu_bind(OTHER);
	plu_check("one is incoming");
	iommu = iommu_init("iommufd");
	open_and_close(OTHER, iommu);
	plu_ok(vlu_e1000_read(KEPT) == WRITTEN, "it is not reset when the other is closed");
	session = plu_retrieve_session(SESSION);
	kept = vlu_retrieve(session, KEPT, iommu);
	plu_ok(!(kept->info.flags & VFIO_DEVICE_FLAGS_RESET), "it can't be reset alone");
	plu_gives(try_reset(kept), -EINVAL, "nor can its user reset both");
	plu_finish(session);
	plu_ok(vlu_e1000_read(KEPT) == WRITTEN, "nor is it when it is finished");
	vfio_pci_device_cleanup(kept);
	KEPT->fd = -1;
	plu_ok(!vlu_e1000_read(KEPT), "when it is closed it is, as any other");
	plu_check("it is finished");
}

static const struct plu_test test = {
	.name = "vfio_bus_reset",
	.qemu = topology,
	.also = e1000,
	.stage = {
		{ .run = kernel_a, .plan = 7, .cmdline = VLU_CMDLINE_NO_IOMMU },
		{ .run = kernel_b, .plan = 7, .cmdline = VLU_CMDLINE_NO_IOMMU },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
