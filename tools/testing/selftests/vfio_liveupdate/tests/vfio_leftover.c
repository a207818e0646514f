// SPDX-License-Identifier: GPL-2.0
/*
 * What a user has left behind in a device does not keep the kernel from being replaced:
 * interrupts, an ioeventfd, states of low power, virtual functions. The next kernel gets
 * the device without any of that, awake and reset; one that can't be woken is only
 * stopped.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
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
		"-device nvme,bus=rp3,serial=3\n"
		"-device pcie-root-port,id=rp4,chassis=4,addr=7\n"
		"-device nvme,bus=rp4,serial=4\n"
		"-device pcie-root-port,id=rp5,chassis=5,addr=8\n"
		"-device nvme,bus=rp5,serial=5\n"
		"-device nvme-subsys,id=vfs\n"
		"-device pcie-root-port,id=rp6,chassis=6,addr=9\n"
		"-device nvme,bus=rp6,subsys=vfs,serial=6," PLU_NVME_VFS;
}

static const struct plu_id nvme[] = {
	{ 0x1b36, 0x0010 },
	{ }
};

#define HAS_MSI		(&plu.dev[0])
#define HAS_INTX	(&plu.dev[1])
#define LOW_POWER	(&plu.dev[2])
#define ASLEEP		(&plu.dev[3])
#define STUBBORN	(&plu.dev[4])
#define NVME		(&plu.dev[5])
/* As they are looked at last; its virtual function; and the port above the first one */
#define NR_DEVICES	6
#define VIRTUAL		6
#define PORT		7
#define SESSION		"vfio-leftover"
#define MEMORY_TOKEN	0x3e3
#define IOVA		0x100000

/* A register of an nvme, where each 1 that is written stays until it is reset */
#define MASK		0x0c
#define WRITTEN		0x12345000

static struct vlu_memory memory;

static struct vfio_pci_device *open_it(struct plu_device *d, struct iommu *iommu)
{
	struct vfio_pci_device *v;

	vlu_bind(d);
	v = vlu_open(d, iommu);
	vfio_pci_cmd_set(v, PCI_COMMAND_MASTER);

	return v;
}

static struct vfio_pci_device *open_nvme(struct plu_device *d, struct iommu *iommu)
{
	struct vfio_pci_device *v;

	v = open_it(d, iommu);
	plu_ok(vlu_access(d, MASK, &(__u32){ WRITTEN }) == WRITTEN, "a register is written to");

	return v;
}

static void let_sleep(struct iommu *iommu)
{
	struct vfio_pci_device *v;
	char parameters[96];

	v = open_nvme(LOW_POWER, iommu);
	vfio_pci_msix_enable(v, 0, 1);
	vlu_set_low_power(v, true);
	plu_ok(plu_wait_for(vlu_is_asleep, LOW_POWER), "VFIO can put a device to sleep");

	v = open_nvme(ASLEEP, iommu);
	vlu_set_asleep(v, ASLEEP, true);
	v = open_nvme(STUBBORN, iommu);
	vlu_set_asleep(v, STUBBORN, true);
	plu_ok(vlu_is_asleep(ASLEEP) && vlu_is_asleep(STUBBORN), "and so can its user");
	snprintf(parameters, sizeof(parameters), "device=%s offset=%u size=2 value=3",
		 STUBBORN->bdf, plu_capability(STUBBORN->bdf, PCI_CAP_ID_PM) + PCI_PM_CTRL);
	if (plu_load_module("external/pci_liveupdate_fake", parameters))
		plu_bail("%s: can be woken", STUBBORN->bdf);
	plu_announce("%s: liveupdate: cannot be woken", STUBBORN->bdf);
}

static void have_virtual_function(char *bdf, size_t size)
{
	char path[128];
	ssize_t len;
	int ret;

	ret = plu_write_file(plu_sysfs(NVME, "sriov_numvfs"), "1");
	if (ret)
		plu_bail("%s: no virtual functions: %s", NVME->bdf, strerror(-ret));
	len = readlink(plu_sysfs(NVME, "virtfn0"), path, sizeof(path) - 1);
	if (len < 0)
		plu_bail("%s: which is its virtual function? %s", NVME->bdf, strerror(errno));
	path[len] = '\0';
	snprintf(bdf, size, "%s", path + strlen("../"));
	plu_set_bus_master(bdf, true);
}

static void kernel_a(void)
{
	char bdfs[(NR_DEVICES + 2) * PLU_BDF_SIZE] = "", virtual[PLU_BDF_SIZE];
	struct vfio_pci_device *v;
	struct iommu *iommu;
	int session;

	vlu_load_driver(false);
	plu_find_devices(NR_DEVICES);
	iommu = iommu_init("iommufd");
	session = plu_session(SESSION);
	vlu_create_memory(&memory, NULL, 4096, 0);
	memset(memory.region.vaddr, 0, 4096);
	plu_gives(plu_try_preserve(session, memory.fd, MEMORY_TOKEN), 0, "memory is preserved");

	v = open_it(HAS_MSI, iommu);
	vfio_pci_msi_enable(v, 0, 1);
	plu_ok(vlu_edu_interrupts(v, v->msi_eventfds[0], false), "a device has MSI");
	v = open_it(HAS_INTX, iommu);
	vlu_set_intx(v, eventfd(0, 0));
	vlu_set_ioeventfd(v, 0, EDU_LIVENESS, 1, eventfd(0, 0));
	let_sleep(iommu);
	v = open_it(NVME, iommu);
	vfio_pci_msix_enable(v, 0, 1);
	have_virtual_function(virtual, sizeof(virtual));

	for (struct plu_device *d = plu.dev; d < plu_end(); d++) {
		plu_preserve(session, d);
		strcat(bdfs, d->bdf);
		strcat(bdfs, ",");
	}
	strcat(bdfs, virtual);
	strcat(bdfs, ",");
	strcat(bdfs, plu_upstream(HAS_MSI, 0)->bdf);
	vlu_look_last(bdfs, memory.region.vaddr);
	plu_check("all are outgoing");
}

static bool was_master(unsigned int device)
{
	return vlu_looked(memory.region.vaddr, device, PCI_COMMAND) & PCI_COMMAND_MASTER;
}

static bool was_awake(const struct plu_device *d)
{
	unsigned int control = plu_capability(d->bdf, PCI_CAP_ID_PM) + PCI_PM_CTRL;

	return !(vlu_looked(memory.region.vaddr, d - plu.dev, control) & PCI_PM_CTRL_STATE_MASK);
}

static void check_use(struct vfio_pci_device *v)
{
	struct vlu_memory page;

	vlu_create_memory(&page, v->iommu, 4096, IOVA);
	vlu_fill(page.region.vaddr, 1);
	plu_ok(vlu_edu_load(v, IOVA), "one does DMA");
	vfio_pci_msi_enable(v, 0, 1);
	plu_ok(vlu_edu_interrupts(v, v->msi_eventfds[0], false), "and has interrupts again");
}

static void kernel_b(void)
{
	struct vfio_pci_device *v[NR_DEVICES];
	struct iommu *iommu;
	int session;

	plu_find_devices(NR_DEVICES);
	plu_ok(!vlu_access(LOW_POWER, MASK, NULL) && !vlu_access(ASLEEP, MASK, NULL),
	       "those that slept were reset");
	/* The driver, if it is there, has reset it. */
	plu_ok(STUBBORN->driver || vlu_access(STUBBORN, MASK, NULL) == WRITTEN,
	       "one could not be woken, nor reset");

	vlu_load_driver(false);
	plu_take_over();
	plu_check("all are incoming");
	session = plu_retrieve_session(SESSION);
	vlu_retrieve_memory(&memory, NULL, 4096, 0, session, MEMORY_TOKEN);
	for (unsigned int i = 0; i < NR_DEVICES; i++)
		plu_ok(vlu_was_silent(memory.region.vaddr, i, &plu.dev[i]) && !was_master(i),
		       "%s: had no interrupts when the old kernel ended, nor DMA", plu.dev[i].bdf);
	plu_ok(was_awake(LOW_POWER) && was_awake(ASLEEP), "those that slept were awake");
	plu_ok(vlu_looked(memory.region.vaddr, VIRTUAL, PCI_VENDOR_ID) == 0xffff ||
	       !was_master(VIRTUAL), "a virtual function did no DMA");
	plu_ok(vlu_looked(memory.region.vaddr, PORT, PCI_VENDOR_ID) != 0xffff &&
	       !was_master(PORT), "nor did a port let any through, as none was to go on below");
	plu_ok(!plu_exists(plu_sysfs(NVME, "virtfn0")), "it is not there any more");

	iommu = iommu_init("iommufd");
	for (unsigned int i = 0; i < NR_DEVICES; i++) {
		vlu_bind(&plu.dev[i]);
		v[i] = vlu_retrieve(session, &plu.dev[i], iommu);
	}
	plu_ok(vlu_is_awake(LOW_POWER) && vlu_is_awake(ASLEEP) && vlu_is_awake(STUBBORN),
	       "all are awake when they are retrieved");
	plu_finish(session);
	plu_check("all are finished");
	check_use(v[0]);
}

static const struct plu_test test = {
	.name = "vfio_leftover",
	.qemu = topology,
	.also = nvme,
	.stage = {
		{ .run = kernel_a, .plan = 8, .cmdline = VLU_CMDLINE },
		{ .run = kernel_b, .plan = 17, .cmdline = VLU_CMDLINE },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
