// SPDX-License-Identifier: GPL-2.0
/*
 * A device goes on with its DMA through an IOMMU while the kernel is replaced, and there is
 * another one that does so without being asked to: nothing keeps it from being a bus master.
 * From the old kernel's end on it reaches nothing, neither what was mapped for it nor, by
 * the same addresses, what was not.
 */

#include <string.h>

#include "translated.h"

#define OTHER_BDF	"0000:00:07.0"

static struct controller usb = { .bdf = TRANSLATED_BDF, .token = TRANSLATED_TOKEN };
static struct controller other = { .bdf = OTHER_BDF, .token = TRANSLATED_TOKEN + 2 };

static const struct plu_id ids[] = {
	{ 0x8086, 0x2934 },
	{ 0x8086, 0x2935 },
	{ }
};

static const char *topology(void)
{
	return TRANSLATED_QEMU("", "\n-device ich9-usb-uhci2,addr=7");
}

#define SESSION		"translated_others"

/* What the module notes, behind what the controller has there. */
static const __u16 *last_frame(void)
{
	return other.memory.region.vaddr + TRANSLATED_SIZE - TRANSLATED_PAGE;
}

static void kernel_a(void)
{
	char parameters[64];
	int session;

	vlu_load_driver(false);
	plu_find_devices(2);
	prepare_controller(&usb, iommu_init("iommufd"));
	prepare_controller(&other, iommu_init("iommufd"));
	session = plu_session(SESSION);
	plu_gives(preserve_memory(session, &usb), 0, "memory of one is preserved");
	plu_gives(preserve_memory(session, &other), 0, "and that of the other");
	plu_preserve(session, controller_device(&usb));
	start_controller(&other);
	snprintf(parameters, sizeof(parameters), "device=" OTHER_BDF " address=0x%llx",
		 (unsigned long long)plu_physical(last_frame()));
	plu_gives(plu_load_module("external/vfio_stays_master", parameters), 0,
		  "the other does not end");
}

static void start(void)
{
	/* What it tries, the next kernel finds when it starts. */
	plu_announce("DMAR: [DMA");
	expect_faults();
	start_controller(&usb);
}

/* How many it has written to, one after the other, and is that all? */
static unsigned int written(void)
{
	unsigned int n = uhci_done_in_row(other.schedule);

	return uhci_done(other.schedule) == n ? n : UHCI_NR_FRAMES;
}

static void kernel_b(void)
{
	struct iommu *iommu = iommu_init("iommufd");
	int session;

	vlu_load_driver(false);
	plu_take_over();
	vlu_bind(controller_device(&usb));
	session = plu_retrieve_session(SESSION);
	retrieve_memory(session, &usb, iommu);
	retrieve_memory(session, &other, NULL);
	lost_nothing_over_jump(&usb);
	plu_say("the other was at frame %u when the kernel was left", *last_frame());
	plu_ok(written() && written() <= *last_frame() + TRANSLATED_FIRST && has_canary(&other),
	       "the other has written %u times until then, and not afterwards", written());

	prepare_again(&other);
	start_controller(&other);
	plu_ok(is_silent(&other) && has_canary(&other), "started again, it reaches nothing");
	goes_on(&usb, "meanwhile the first one");
	retrieve_controller(session, &usb, iommu);
	plu_ok(is_silent(&other) && has_canary(&other), "nor does it later");
	plu_gives(vlu_try_finish(session), 0, "the session is finished");
	plu_ok(is_silent(&other) && has_canary(&other), "nor then");
}

static const struct plu_test test = {
	.name = "translated_others",
	.qemu = topology,
	.also = ids,
	.stage = {
		{ .run = kernel_a, .plan = 3, .cmdline = VLU_CMDLINE, .before_jump = start },
		{ .run = kernel_b, .plan = 7, .cmdline = VLU_CMDLINE },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
