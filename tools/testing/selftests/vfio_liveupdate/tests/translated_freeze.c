// SPDX-License-Identifier: GPL-2.0
/*
 * A device is about to go on with its DMA through an IOMMU while the kernel is replaced, and
 * the jump is called off at the last moment, again and again: it works on, and when its file
 * is not preserved any more, its page table can be changed. The next jump gets through.
 */

#include <errno.h>
#include <sys/mman.h>

#include "translated.h"

static struct controller usb = { .bdf = TRANSLATED_BDF, .token = TRANSLATED_TOKEN };

static const char *topology(void)
{
	return TRANSLATED_QEMU("",
		"\n-device pcie-root-port,id=rp1,chassis=1,addr=7\n"
		"-device pci-testdev,bus=rp1");
}

/* Driven by the test driver of PCI Live Update: its file can't be frozen, as it is told. */
#define FAILING		(&plu.dev[1])
#define SESSION		"translated_freeze"
#define ROUNDS		3
#define OTHER_IOVA	0x10000000UL

static struct dma_region other = { .size = TRANSLATED_PAGE, .iova = OTHER_IOVA };

static int preserve_all(const char *name)
{
	int session = plu_session(name);

	if (preserve_memory(session, &usb))
		plu_bail("memory can't be preserved");
	plu_preserve(session, controller_device(&usb));

	return session;
}

static void kernel_a(void)
{
	struct iommu *iommu = iommu_init("iommufd");
	struct vfio_pci_device *v;
	int session;

	vlu_load_driver(false);
	plu_find_devices(2);
	v = prepare_controller(&usb, iommu);
	other.vaddr = mmap(NULL, TRANSLATED_PAGE, PROT_READ | PROT_WRITE,
			   MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
	start_controller(&usb);
	session = preserve_all(SESSION);
	if (plu_load_module(PLU_DRIVER, "") || !plu_exists(plu_sysfs(FAILING, "driver")))
		plu_bail("the test driver has no device");
	FAILING->driver = PLU_DRIVER;
	plu_preserve(session, FAILING);
	if (plu_command(FAILING, "fail freeze"))
		plu_bail("the driver does not know how to fail");

	for (unsigned int i = 0; i < ROUNDS; i++) {
		plu_gives(plu_reboot(), -EIO, "the jump is called off");
		goes_on(&usb, "it works on");
		plu_gives(__iommu_map(iommu, &other), -EBUSY,
			  "its page table can't be changed, as it is preserved");
	}

	plu_close_session(session);
	plu_ok(is_in_state(&usb, "outgoing", ""), "it is not preserved any more");
	plu_gives(__iommu_map(iommu, &other), 0, "its page table can be changed");
	plu_gives(__iommu_unmap(iommu, &other, NULL), 0, "and changed back");
	expect_faults();
	plu_gives(vlu_detach(v->fd), 0, "it can be detached");
	plu_gives(vlu_attach(v->fd, iommu->ioas_id), 0, "and attached again");
	goes_on(&usb, "it works on");

	preserve_all(SESSION);
	uhci_arm(usb.schedule);
	plu.note = (frame(&usb) + 1) % TRANSLATED_NUMBERS;
}

static void kernel_b(void)
{
	struct iommu *iommu;
	int session;

	vlu_load_driver(false);
	plu_take_over();
	vlu_bind(controller_device(&usb));
	session = plu_retrieve_session(SESSION);
	iommu = iommu_init("iommufd");
	retrieve_memory(session, &usb, iommu);
	lost_nothing_since(&usb, plu.note);
	retrieve_controller(session, &usb, iommu);
	plu_gives(vlu_try_finish(session), 0, "its session is finished");
	goes_on(&usb, "it works on");
}

static const struct plu_test test = {
	.name = "translated_freeze",
	.qemu = topology,
	.also = uhci_ids,
	.stage = {
		{ .run = kernel_a, .plan = 3 * ROUNDS + 6, .cmdline = VLU_CMDLINE },
		{ .run = kernel_b, .plan = 3, .cmdline = VLU_CMDLINE },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
