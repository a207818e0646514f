// SPDX-License-Identifier: GPL-2.0
/*
 * A device goes on with its DMA through an IOMMU and is pulled out when there is no kernel. The
 * next one says so, and its old page table keeps nothing: its session can be finished, and
 * memory is its user's. Plugged in again it is one like any other.
 */

#include <fcntl.h>

#include "translated.h"

#define PORT	"0000:00:04.0"

static struct controller usb = {
	.bdf = "0000:01:00.0",
	.token = TRANSLATED_TOKEN,
	.iova = TRANSLATED_IOVA,
};

/* One that can be unplugged */
static const struct plu_id ids[] = {
	{ 0x8086, 0x7020 },
	{ }
};

#define QEMU_DEVICE	"piix3-usb-uhci,bus=rp1"

static const char *topology(void)
{
	/* The port's own way to be plugged, not ACPI's */
	return "-icount shift=0,sleep=off\n"
		"-global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off\n"
		"-device intel-iommu\n"
		"-device pcie-root-port,id=rp1,chassis=1,slot=1,addr=4\n"
		"-device " QEMU_DEVICE;
}

#define SESSION		"translated_pulled"

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

static void start_and_pull(void)
{
	static const struct plu_device port = { .bdf = PORT };

	start_controller(&usb);
	plu_pull_out_unnoticed(&port);
}

static bool is_there(void *d)
{
	return plu_exists(plu_sysfs(d, "config"));
}

static void kernel_b(void)
{
	struct plu_device *d;
	int session;

	vlu_load_driver(false);
	plu_take_over_some();
	d = controller_device(&usb);
	plu_read_log();
	plu_ok(d->absent && plu_times_said("01:00.0 is not there: its translation ends") == 1 &&
	       is_in_state(&usb, "incoming", "absent"), "it is not there, and the kernel says so");
	session = plu_retrieve_session(SESSION);
	retrieve_memory(session, &usb, NULL);
	plu_gives(vlu_try_finish(session), 0, "its session can be finished");
	plu_gives(fallocate(usb.memory.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), 0,
		  "memory can be freed");

	plu_monitor("device_add " QEMU_DEVICE);
	if (!plu_wait_for(is_there, d))
		plu_bail("it can't be plugged in again");
	expect_faults();
	prepare_controller(&usb, iommu_init("iommufd"));
	start_controller(&usb);
	goes_on(&usb, "plugged in again");
}

static const struct plu_test test = {
	.name = "translated_pulled",
	.qemu = topology,
	.also = ids,
	.stage = {
		{ .run = kernel_a, .plan = 2, .cmdline = VLU_CMDLINE,
		  .before_jump = start_and_pull },
		{ .run = kernel_b, .plan = 4, .cmdline = VLU_CMDLINE },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
