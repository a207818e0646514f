// SPDX-License-Identifier: GPL-2.0
/*
 * A device goes on with its DMA while the kernel is replaced, through an IOMMU: nothing that
 * it writes is lost until its user has it back and attaches it to a page table of his own,
 * and after that. The IOMMU finds its page table by a table of PASIDs,
 * has four levels, and keeps what is absent in its caches. The next kernel is told to use
 * none at all, which it must not do.
 */

#include "translated.h"

static struct controller usb = { .bdf = TRANSLATED_BDF, .token = TRANSLATED_TOKEN };

static const char *topology(void)
{
	return TRANSLATED_QEMU(",x-scalable-mode=on,aw-bits=48,caching-mode=on", "");
}

#define NO_IOMMU	"plu.modules=none vfio_pci.enable_sriov=1 iommu=off intel_iommu=off"

static void kernel_a(void)
{
	whole_way_a(&usb, "translated_scalable");
}

static void kernel_b(void)
{
	whole_way_b(&usb, "translated_scalable");
}

static void start(void)
{
	start_controller(&usb);
}

static const struct plu_test test = {
	.name = "translated_scalable",
	.qemu = topology,
	.also = uhci_ids,
	.stage = {
		{ .run = kernel_a, .plan = WHOLE_WAY_A, .cmdline = VLU_CMDLINE ",sm_on",
		  .before_jump = start },
		{ .run = kernel_b, .plan = WHOLE_WAY_B, .cmdline = NO_IOMMU },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
