// SPDX-License-Identifier: GPL-2.0
/*
 * A device goes on with its DMA through an IOMMU, and nobody asks for it. It goes on, and
 * nobody else can have it, until an administrator removes it, which stops it; found again it
 * has nothing of what it had. The next time the kernel is replaced once more, by one to which
 * it means nothing: it is no bus master there.
 */

#include <errno.h>
#include <string.h>

#include "translated.h"

static struct controller usb = TRANSLATED_CONTROLLER;

static const char *topology(void)
{
	return TRANSLATED_QEMU(",caching-mode=on", "");
}

#define SESSION		"translated_lost"

static void preserve(void)
{
	int session = plu_session(SESSION);

	prepare_controller(&usb, iommu_init("iommufd"));
	plu_gives(preserve_memory(session, &usb), 0, "memory is preserved");
	plu_preserve(session, controller_device(&usb));
	plu_check("it is outgoing");
}

static void kernel_a(void)
{
	vlu_load_driver(false);
	plu_find_devices(1);
	preserve();
}

/* It has what was there when the kernel before this one ended. */
static void find_running(void)
{
	vlu_load_driver(false);
	plu_take_over();
	vlu_bind(controller_device(&usb));
	retrieve_memory(plu_retrieve_session(SESSION), &usb, NULL);
	lost_nothing_over_jump(&usb);
	goes_on(&usb, "nobody asks for it");
}

static int set_group_type(const char *type)
{
	return plu_write_file(plu_sysfs(controller_device(&usb), "iommu_group/type"), type);
}

static void kernel_b(void)
{
	find_running();
	plu_gives(set_group_type("identity"), -EPERM, "it can't be had without translation");
	plu_gives(vlu_try_open(controller_device(&usb)), -EBUSY, "nor by anybody else");
	plu_gives(plu_remove(controller_device(&usb)), 0, "an administrator removes it");
	plu_ok(is_stopped(&usb), "it is stopped");
	plu_rescan();
	plu_ok(!plu_is_bus_master(TRANSLATED_BDF) && is_stopped(&usb),
	       "it is when it is found again");
}

static void start(void)
{
	start_controller(&usb);
}

static const struct plu_test test = {
	.name = "translated_lost",
	.qemu = topology,
	.also = uhci_ids,
	.stage = {
		{ .run = kernel_a, .plan = 2, .cmdline = VLU_CMDLINE,
		  .before_jump = start },
		{ .run = kernel_b, .plan = 7, .cmdline = VLU_CMDLINE },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
