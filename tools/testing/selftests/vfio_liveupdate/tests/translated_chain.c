// SPDX-License-Identifier: GPL-2.0
/*
 * A device goes on with its DMA through an IOMMU from kernel to kernel, and is never started
 * again. What has a page table of the kernel before can't be handed over once more, and
 * the kernel says so; when its user has it back, it can.
 */

#include <errno.h>

#include "translated.h"

static struct controller usb = { .bdf = TRANSLATED_BDF, .token = TRANSLATED_TOKEN };

static const char *topology(void)
{
	return TRANSLATED_QEMU(",x-scalable-mode=on", "");
}

#define CMDLINE		VLU_CMDLINE ",sm_on"
#define KERNELS		4

static char session_name[32];

static const char *session_of(unsigned int stage)
{
	snprintf(session_name, sizeof(session_name), "translated_chain-%u", stage);

	return session_name;
}

static int hand_over(void)
{
	int session = plu_session(session_of(plu.stage));

	if (preserve_memory(session, &usb))
		plu_bail("memory can't be preserved");

	return session;
}

static void note_frame(void)
{
	uhci_arm(usb.schedule);
	plu.note = (frame(&usb) + 1) % TRANSLATED_NUMBERS;
}

static void kernel_a(void)
{
	vlu_load_driver(false);
	plu_find_devices(1);
	prepare_controller(&usb, iommu_init("iommufd"));
	start_controller(&usb);
	plu_ok(plu_wait_for(is_ahead, &usb), "it runs");
	plu_preserve(hand_over(), controller_device(&usb));
	plu_check("it is outgoing");
	note_frame();
}

static void refuses_before_finish(void)
{
	int session = plu_session("too-early");

	plu_gives(plu_try_preserve(session, controller_device(&usb)->fd, 1), -EBUSY,
		  "it can't be preserved before its session is finished");
	plu_close_session(session);
}

static void take_back(void)
{
	struct vfio_pci_device *v;
	struct iommu *iommu;
	int session;

	vlu_load_driver(false);
	plu_take_over();
	vlu_bind(controller_device(&usb));
	session = plu_retrieve_session(session_of(plu.stage - 1));
	iommu = iommu_init("iommufd");
	retrieve_memory(session, &usb, iommu);
	lost_nothing_since(&usb, plu.note);
	v = retrieve_controller(session, &usb, iommu);
	goes_on(&usb, "attached to a new page table");
	if (vlu_set_feature(v->fd, VFIO_DEVICE_LIVEUPDATE_RUNNING))
		plu_bail("it can't keep running");
	refuses_before_finish();
	plu_gives(vlu_try_finish(session), 0, "its session is finished");
}

static void kernel_b(void)
{
	int session;

	take_back();
	if (plu.stage == KERNELS)
		return;
	session = hand_over();
	plu_preserve(session, controller_device(&usb));
	plu_ok(is_in_state(&usb, "outgoing", "preserved"), "it can be preserved again");
	note_frame();
}

static const struct plu_test test = {
	.name = "translated_chain",
	.qemu = topology,
	.also = uhci_ids,
	.stage = {
		{ .run = kernel_a, .plan = 2, .cmdline = CMDLINE },
		{ .run = kernel_b, .plan = 5, .cmdline = CMDLINE },
		{ .run = kernel_b, .plan = 5, .cmdline = CMDLINE },
		{ .run = kernel_b, .plan = 4, .cmdline = CMDLINE },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
