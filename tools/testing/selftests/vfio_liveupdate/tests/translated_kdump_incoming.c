// SPDX-License-Identifier: GPL-2.0
/*
 * A kernel crashes to which a device was handed over that goes on with its DMA through an
 * IOMMU, and nobody has it back yet: see translated_kdump.c.
 */

#define INCOMING
#include "translated_kdump.c"

static void start(void)
{
	start_controller(&usb);
}

static void kernel_b(void)
{
	vlu_load_driver(false);
	plu_take_over();
	vlu_bind(controller_device(&usb));
	retrieve_memory(plu_retrieve_session(SESSION), &usb, NULL);
	lost_nothing_over_jump(&usb);
}

static void crash_b(void)
{
	crash_now(2);
}

static const struct plu_test test = {
	.name = "translated_kdump_incoming",
	.qemu = topology,
	.also = uhci_ids,
	.stage = {
		{ .run = kernel_a, .plan = 2, .cmdline = CMDLINE, .before_jump = start },
		{ .run = kernel_b, .plan = 1, .cmdline = CMDLINE, .before_jump = crash_b },
		{ .run = after_crash, .plan = 3, .cmdline = VLU_CMDLINE },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
