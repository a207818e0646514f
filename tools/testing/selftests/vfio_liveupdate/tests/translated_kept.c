// SPDX-License-Identifier: GPL-2.0
/*
 * A device is to go on with its DMA while the kernel is replaced, through an IOMMU. From then
 * on its page table can't be changed, and the jump is refused as long as it leads to anything
 * that is not preserved, until that is called off. In the next kernel the memory stays where
 * it is, and its session can't be finished, be it another one, until the device has a page
 * table of its new user.
 */

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <linux/iommufd.h>

#include "translated.h"

static struct controller usb = TRANSLATED_CONTROLLER;

static const char *topology(void)
{
	return TRANSLATED_QEMU(",aw-bits=48,caching-mode=on", "");
}

#define DEVICES		"translated_kept"
#define MEMORY		"translated_kept-memory"
#define UNRELATED	"translated_kept-unrelated"
#define OTHER_IOVA	0x10000000UL
#define PAGE		4096

static int result(int ret)
{
	return ret < 0 ? -errno : 0;
}

static __u32 new_ioas(struct iommu *iommu)
{
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };

	if (ioctl(iommu->iommufd, IOMMU_IOAS_ALLOC, &alloc))
		plu_bail("no IOAS: %s", strerror(errno));

	return alloc.out_ioas_id;
}

static int destroy(struct iommu *iommu, __u32 id)
{
	struct iommu_destroy destroy = { .size = sizeof(destroy), .id = id };

	return result(ioctl(iommu->iommufd, IOMMU_DESTROY, &destroy));
}

static struct dma_region other = {
	.size = PAGE,
	.iova = OTHER_IOVA,
};

static void is_immutable(struct vfio_pci_device *v, struct iommu *iommu)
{
	plu_gives(__iommu_map(iommu, &other), -EBUSY, "nothing more can be mapped");
	plu_gives(__iommu_unmap(iommu, &usb.page[0], NULL), -EBUSY, "nor less");
	plu_gives(vlu_attach(v->fd, new_ioas(iommu)), -EBUSY, "it can't be attached elsewhere");
	plu_gives(vlu_detach(v->fd), -EBUSY, "nor detached");
	plu_gives(destroy(iommu, iommu->ioas_id), -EBUSY, "its page table can't go");
}

static void refuses_to_jump(__u64 iova)
{
	char expected[96];

	snprintf(expected, sizeof(expected), "what is mapped at 0x%llx is not preserved",
		 (unsigned long long)iova);
	plu_read_log();
	plu_ok(plu_reboot() == -EBUSY && plu_says_once(expected),
	       "the jump is refused, as what is mapped at 0x%llx is not preserved",
	       (unsigned long long)iova);
}

static void kernel_a(void)
{
	int devices, mem, unrelated = memfd_create("unrelated", 0);
	struct vfio_pci_device *v;
	struct iommu *iommu;

	vlu_load_driver(false);
	plu_find_devices(1);
	iommu = iommu_init("iommufd");
	v = prepare_controller(&usb, iommu);
	other.vaddr = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
	iommu_map(iommu, &other);

	devices = plu_session(DEVICES);
	plu_preserve(devices, controller_device(&usb));
	is_immutable(v, iommu);
	refuses_to_jump(OTHER_IOVA);
	plu_close_session(devices);
	iommu_unmap(iommu, &other);
	plu_check("when it is not preserved any more, its page table can be changed");

	/* All is looked up when the file is preserved, and then again, as it may be no more. */
	mem = plu_session(MEMORY);
	if (preserve_memory(mem, &usb))
		plu_bail("memory can't be preserved");
	devices = plu_session(DEVICES);
	plu_preserve(devices, controller_device(&usb));
	plu_close_session(mem);
	refuses_to_jump(TRANSLATED_IOVA);
	plu_gives(preserve_memory(plu_session(MEMORY), &usb), 0,
		  "its memory is preserved, in another session");
	if (ftruncate(unrelated, PAGE) || plu_try_preserve(plu_session(UNRELATED), unrelated, 1))
		plu_bail("cannot preserve other memory");
	is_immutable(v, iommu);
}

static int punch_hole(void)
{
	return result(fallocate(usb.memory.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
				PAGE));
}

static void kernel_b(void)
{
	struct vfio_pci_device *v;
	struct iommu *iommu;
	int devices, mem;

	vlu_load_driver(false);
	plu_take_over();
	vlu_bind(controller_device(&usb));
	plu_gives(vlu_try_finish(plu_retrieve_session(UNRELATED)), 0,
		  "a session of other memory can be finished");
	mem = plu_retrieve_session(MEMORY);
	plu_gives(vlu_try_finish(mem), -EBUSY,
		  "the memory's session can't be finished, be it retrieved or not");
	iommu = iommu_init("iommufd");
	retrieve_memory(mem, &usb, iommu);
	lost_nothing_over_jump(&usb);
	plu_gives(vlu_try_finish(mem), -EBUSY, "nor when it is");
	plu_gives(punch_hole(), -EPERM, "no part of it can be freed");
	plu_gives(result(ftruncate(usb.memory.fd, 0)), -EPERM, "nor all");

	devices = plu_retrieve_session(DEVICES);
	plu_gives(vlu_try_finish(devices), -EBUSY, "the device's session can't be finished either");
	v = retrieve_controller(devices, &usb, iommu);
	goes_on(&usb, "attached to a new page table");
	plu_gives(vlu_try_finish(mem), 0, "the memory's session can be finished then");
	plu_gives(vlu_try_finish(devices), 0, "and the device's");
	goes_on(&usb, "finished");
	unmap_memory(&usb, iommu);
	plu_gives(punch_hole(), 0, "memory can be freed again");
	vfio_pci_device_cleanup(v);
}

static void start(void)
{
	start_controller(&usb);
}

static const struct plu_test test = {
	.name = "translated_kept",
	.qemu = topology,
	.also = uhci_ids,
	.stage = {
		{ .run = kernel_a, .plan = 14, .cmdline = VLU_CMDLINE,
		  .before_jump = start },
		{ .run = kernel_b, .plan = 12, .cmdline = VLU_CMDLINE },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
