// SPDX-License-Identifier: GPL-2.0
/*
 * Not a test but a demonstration, with the same means: what a virtual machine monitor
 * sees of a live update, in lines of which demo.h tells. A row is
 *
 *	demo: row WHEN | FILE | ADDRESS | BAR 0 | DMA
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "demo.h"
#include "vlu.h"

static const char *topology(void)
{
	return "-device intel-iommu\n"
		"-device pcie-root-port,id=rp1,chassis=1,addr=4\n"
		"-device edu,bus=rp1";
}

#define DEVICE		(&plu.dev[0])
#define SESSION		"vmm"
#define MEMORY_TOKEN	0x3e3
#define MEMORY_SIZE	8192
#define IOVA		0x100000

static struct vfio_pci_device *v;
static struct vlu_memory memory;

static void print_row(const char *when, const char *file, const char *dma)
{
	printf("demo: row %s | %s | %s | 0x%08x | %s\n", when, file, DEVICE->bdf,
	       plu_config_read(DEVICE->bdf, PCI_BASE_ADDRESS_0, 4) & ~0xfU, dma);
}

static void *page(unsigned int number)
{
	return memory.region.vaddr + number * 4096;
}

/* From the first page by way of the device to the second one */
static const char *do_dma(unsigned int number)
{
	vlu_fill(page(0), number);
	memset(page(1), 0, 4096);
	if (!check(vlu_edu_load(v, IOVA) && vlu_edu_store(v, IOVA + 4096) &&
		   vlu_is_filled(page(1), number), "it does DMA"))
		return "none";
	device(DEVICE, "copies %u bytes from memory, and back to another page: through the IOMMU",
	       VLU_LENGTH);

	return "2048 bytes there and back";
}

static void refuse_to_jump(void)
{
	int ret;

	vfio_pci_msi_enable(v, 0, 1);
	step("with an interrupt enabled, the monitor's host asks for the next kernel");
	ret = plu_reboot();
	check(ret == -EBUSY, "the jump is refused");
	device(DEVICE, "reboot: %s, as its interrupts are enabled; everything works on",
	       strerror(-ret));
	vfio_pci_msi_disable(v);
}

static void kernel_a(void)
{
	char *path;
	int session;

	printf("demo: kernel A: a virtual machine monitor has a device\n");
	vlu_load_driver(false);
	plu_find_devices(1);
	vlu_bind(DEVICE);
	path = (char *)vfio_pci_get_cdev_path(DEVICE->bdf);
	v = vlu_open(DEVICE, iommu_init("iommufd"));
	device(DEVICE, "opened as %s, bound to an iommufd", path);
	vlu_create_memory(&memory, v->iommu, MEMORY_SIZE, IOVA);
	device(DEVICE, "two pages of a memfd are mapped for it at 0x%x", IOVA);
	print_row("A: opened", path, do_dma(1));

	session = plu_session(SESSION);
	plu_preserve(session, DEVICE);
	check(!plu_try_preserve(session, memory.fd, MEMORY_TOKEN), "memory is preserved");
	step("session \"%s\": the device's file and the memory are preserved", SESSION);
	print_row("A: preserved", path, do_dma(2));
	refuse_to_jump();
	plu_check("the device is outgoing");
	step("kexec: kernel A hands over to kernel B");
	free(path);
}

static void kernel_b(void)
{
	char *path, refused[96];
	struct iommu *iommu;
	int session, ret;

	printf("demo: kernel B: gives the device back\n");
	vlu_load_driver(false);
	plu_take_over();
	vlu_bind(DEVICE);
	path = (char *)vfio_pci_get_cdev_path(DEVICE->bdf);
	ret = vlu_try_open(DEVICE);
	check(ret == -EBUSY, "nobody else can open it");
	device(DEVICE, "is there, bound to vfio-pci; somebody opens %s: %s", path, strerror(-ret));
	snprintf(refused, sizeof(refused), "%s: %s", path, strerror(-ret));
	print_row("B: not retrieved yet", refused, "-");

	session = plu_retrieve_session(SESSION);
	plu_retrieve(session, DEVICE);
	step("session \"%s\" is retrieved: the monitor has the device's file", SESSION);
	iommu = iommu_init("iommufd");
	v = vfio_pci_device_init_fd(DEVICE->bdf, iommu, DEVICE->fd);
	device(DEVICE, "bound to a new iommufd");
	vlu_retrieve_memory(&memory, iommu, MEMORY_SIZE, IOVA, session, MEMORY_TOKEN);
	check(vlu_is_filled(page(1), 2), "the memory is what it was");
	device(DEVICE, "the memory is mapped for it again, with what it wrote in kernel A");
	print_row("B: retrieved", "from the session", do_dma(3));

	plu_finish(session);
	step("session \"%s\" finished: the device is an ordinary one", SESSION);
	vfio_pci_device_cleanup(v);
	DEVICE->fd = -1;
	v = vlu_open(DEVICE, iommu);
	device(DEVICE, "closed, and opened as %s", path);
	print_row("B: finished", path, do_dma(4));
	plu_check("the device is finished");
	vfio_pci_device_cleanup(v);
	free(path);
}

static const struct plu_test test = {
	.name = "vfio_demo",
	.qemu = topology,
	.stage = {
		{ .run = kernel_a, .plan = 1, .cmdline = VLU_CMDLINE },
		{ .run = kernel_b, .plan = 1, .cmdline = VLU_CMDLINE },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
