// SPDX-License-Identifier: GPL-2.0
/*
 * A device goes on with its DMA while the kernel is replaced, through an IOMMU: nothing that
 * it writes is lost until its user has it back and attaches it to a page table of his own,
 * and after that. The IOMMU finds its page table by a table of PASIDs,
 * has four levels, and keeps what is absent in its caches. The next kernel is told to use
 * none at all, which it must not do.
 */

#include "translated.h"

static const char *topology(void)
{
	return TRANSLATED_QEMU(",x-scalable-mode=on,aw-bits=48,caching-mode=on", "");
}

#define SESSION		"translated-scalable"

#define NO_IOMMU	"plu.modules=none vfio_pci.enable_sriov=1 iommu=off intel_iommu=off"

static void kernel_a(void)
{
	int session;

	vlu_load_driver(false);
	plu_find_devices(1);
	prepare_controller(iommu_init("iommufd"));
	start_controller();
	plu_ok(plu_wait_for(is_ahead, NULL), "it runs");
	goes_on("translated");
	uhci_prepare_at(usb_controller(), schedule, false, iova_of);

	session = plu_session(SESSION);
	plu_gives(plu_try_preserve(session, memory.fd, TRANSLATED_TOKEN), 0, "memory is preserved");
	plu_preserve(session, usb_controller());
	plu_check("it is outgoing");
}

static void kernel_b(void)
{
	struct vfio_pci_device *v;
	unsigned int from, to;
	struct iommu *iommu;
	int session;

	vlu_load_driver(false);
	plu_take_over();
	vlu_bind(usb_controller());
	session = plu_retrieve_session(SESSION);
	iommu = iommu_init("iommufd");
	retrieve_memory(session, iommu);
	lost_nothing_over_jump();
	goes_on("before it is retrieved");

	plu_gives(vlu_try_finish(session), -EBUSY, "its session can't be finished");
	uhci_arm(schedule);
	from = frame() + 1;
	v = vlu_retrieve(session, usb_controller(), iommu);
	to = frame();
	plu_say("%u of %u lost while it was attached", count_lost(from, to), to - from);
	goes_on("attached to a new page table");
	plu_gives(vlu_try_finish(session), 0, "now it can");
	goes_on("finished");

	iommu_unmap(iommu, &memory.region);
	plu_ok(is_silent(), "the new page table is in force");
	vfio_pci_device_cleanup(v);
}

static const struct plu_test test = {
	.name = "translated_scalable",
	.qemu = topology,
	.also = uhci_ids,
	.stage = {
		{ .run = kernel_a, .plan = 4, .cmdline = VLU_CMDLINE ",sm_on",
		  .before_jump = start_controller },
		{ .run = kernel_b, .plan = 7, .cmdline = NO_IOMMU },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
