// SPDX-License-Identifier: GPL-2.0
/*
 * A kernel crashes that has a device preserved which is to go on with its DMA through an IOMMU;
 * or one to which it was handed over, in translated_kdump_incoming.c. The one that is there for
 * crashes starts, and does with the device and the IOMMU what it ever does.
 */

#include "../../pci_liveupdate/tests/kexec_calls.h"
#include "translated.h"

static struct controller usb = TRANSLATED_CONTROLLER;

static const char *topology(void)
{
	return TRANSLATED_QEMU("", "\n-m 2G");
}

#define SESSION		"translated_kdump"
#define CMDLINE		VLU_CMDLINE " crashkernel=256M kho_scratch=32M,32M,512M"

static void kernel_a(void)
{
	int session;

	vlu_load_driver(false);
	plu_find_devices(1);
	prepare_controller(&usb, iommu_init("iommufd"));
	session = plu_session(SESSION);
	plu_gives(preserve_memory(session, &usb), 0, "memory is preserved");
	plu_preserve(session, controller_device(&usb));
	plu_check("it is outgoing");
}

static void crash_now(unsigned int stage)
{
	plu.stage = stage;
	load_for_crash(VLU_CMDLINE);
	crash_on_purpose();
}

static void after_crash(void)
{
	plu_find_devices(1);
	plu.handover = "off";
	plu_check("nothing was handed over");
	plu_read_log();
	plu_ok(plu_times_said("Copied translation tables from previous kernel"),
	       "the IOMMU's tables are those of the kernel that has crashed");
	vlu_load_driver(false);
	expect_faults();
	prepare_controller(&usb, iommu_init("iommufd"));
	start_controller(&usb);
	goes_on(&usb, "it has its IOMMU, and its device");
}

#ifndef INCOMING

static void start_and_crash(void)
{
	start_controller(&usb);
	crash_now(1);
}

static const struct plu_test test = {
	.name = "translated_kdump",
	.qemu = topology,
	.also = uhci_ids,
	.stage = {
		{ .run = kernel_a, .plan = 2, .cmdline = CMDLINE,
		  .before_jump = start_and_crash },
		{ .run = after_crash, .plan = 3, .cmdline = VLU_CMDLINE },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}

#endif
