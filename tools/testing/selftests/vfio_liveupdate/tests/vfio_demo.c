// SPDX-License-Identifier: GPL-2.0
/*
 * Not a test but a demonstration, with the same means: what a virtual machine monitor
 * sees of a live update, in lines of which demo.h tells. A row is
 *
 *	demo: row WHEN | FILE | ADDRESS | IOVA | DMA
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "demo.h"
#include "translated.h"

static struct controller usb = TRANSLATED_CONTROLLER;

static const char *topology(void)
{
	return TRANSLATED_QEMU("", "");
}

#define SESSION		"vmm"

/* Since it was started last. */
static unsigned int written;

static void print_row(const char *when, const char *file, const char *dma)
{
	printf("demo: row %s | %s | %s | 0x%lx | %s\n", when, file, TRANSLATED_BDF,
	       TRANSLATED_IOVA, dma);
}

static const char *tell_writes(unsigned int n, unsigned int n_lost)
{
	static char text[64];

	snprintf(text, sizeof(text), "%u of %u writes", n - n_lost, n);
	check(n && !n_lost, "nothing is lost");
	written += n;

	return text;
}

/* What it writes in a fifth of a second. */
static const char *watch(void)
{
	unsigned int from, to;

	uhci_arm(usb.schedule);
	from = frame(&usb) + 1;
	usleep(200000);
	to = frame(&usb);

	return tell_writes((to - from) % TRANSLATED_NUMBERS, count_lost(&usb, from, to));
}

static void kernel_a(void)
{
	struct iommu *iommu;
	char *path;
	int session;

	printf("demo: kernel A: a virtual machine monitor has a device, behind an IOMMU\n");
	vlu_load_driver(false);
	plu_find_devices(1);
	iommu = iommu_init("iommufd");
	prepare_controller(&usb, iommu);
	path = (char *)vfio_pci_get_cdev_path(TRANSLATED_BDF);
	device(controller_device(&usb), "a USB controller: opened as %s, attached to a page table",
	       path);
	device(controller_device(&usb), "a memfd is mapped for it: at 0x%lx, and really at 0x%llx",
	       TRANSLATED_IOVA, (unsigned long long)plu_physical(usb.schedule));
	start_controller(&usb);
	check(plu_wait_for(is_ahead, &usb), "it runs");
	device(controller_device(&usb), "is started, and writes to it once in each millisecond");
	print_row("A: opened", path, watch());

	session = plu_session(SESSION);
	check(!preserve_memory(session, &usb), "memory is preserved");
	plu_preserve(session, controller_device(&usb));
	step("session \"%s\": file and memory are preserved; the device keeps running", SESSION);
	check(__iommu_unmap(iommu, &usb.page[0], NULL) == -EBUSY, "its page table is kept");
	device(controller_device(&usb), "its page table can't be changed any more: %s",
	       strerror(EBUSY));
	print_row("A: preserved", path, watch());
	plu_check("the device is outgoing");
	prepare_again(&usb);
	step("kexec: kernel A hands over to kernel B, and the device works on");
	free(path);
}

static void kernel_b(void)
{
	unsigned int ms, from, to, away;
	struct vfio_pci_device *v;
	char *path, refused[96];
	struct iommu *iommu;
	int session, ret;

	vlu_load_driver(false);
	plu_take_over();
	ms = frame(&usb);
	printf("demo: kernel B: gives the device back, %u ms later\n", ms);
	vlu_bind(controller_device(&usb));
	path = (char *)vfio_pci_get_cdev_path(TRANSLATED_BDF);
	ret = vlu_try_open(controller_device(&usb));
	check(ret == -EBUSY, "nobody else can open it");
	device(controller_device(&usb), "works on by kernel A's page table; somebody opens %s: %s",
	       path, strerror(-ret));

	session = plu_retrieve_session(SESSION);
	iommu = iommu_init("iommufd");
	retrieve_memory(session, &usb, iommu);
	step("session \"%s\" is retrieved: the monitor has its memory, and maps it again", SESSION);
	to = frame(&usb);
	away = count_lost(&usb, 0, to);
	snprintf(refused, sizeof(refused), "%s: %s", path, strerror(-ret));
	print_row("B: not retrieved yet", refused, tell_writes(to, away));
	device(controller_device(&usb), "has written %u times since then, %u are lost", to, away);

	uhci_arm(usb.schedule);
	from = frame(&usb) + 1;
	v = vlu_retrieve(session, controller_device(&usb), iommu);
	usleep(100000);
	to = frame(&usb);
	device(controller_device(&usb), "the file is bound, and attached to a new page table");
	print_row("B: retrieved", "from the session",
		  tell_writes(to - from, count_lost(&usb, from, to)));

	plu_finish(session);
	step("session \"%s\" finished: the device is an ordinary one", SESSION);
	print_row("B: finished", path, watch());
	step("%u ms without a monitor, and %u of %u writes are there", ms, written, written);
	vfio_pci_device_cleanup(v);
	plu_check("the device is finished");
	free(path);
}

static void start(void)
{
	start_controller(&usb);
}

static const struct plu_test test = {
	.name = "vfio_demo",
	.qemu = topology,
	.also = uhci_ids,
	.stage = {
		{ .run = kernel_a, .plan = 1, .cmdline = VLU_CMDLINE,
		  .before_jump = start },
		{ .run = kernel_b, .plan = 1, .cmdline = VLU_CMDLINE },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
