// SPDX-License-Identifier: GPL-2.0
/*
 * A device goes on with its DMA through an IOMMU, and whoever gets it back binds its file, for
 * which nothing is lost, and ends before he has attached it. It is stopped, and its old page
 * table keeps nothing: its session can be finished, and memory is its user's.
 */

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>

#include <linux/vfio.h>

#include "translated.h"

static struct controller usb = TRANSLATED_CONTROLLER;

static const char *topology(void)
{
	return TRANSLATED_QEMU(",x-scalable-mode=on,caching-mode=on", "");
}

#define SESSION		"translated_closed"
#define CMDLINE		VLU_CMDLINE ",sm_on"

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

static void kernel_b(void)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind) };
	int session, fd;

	vlu_load_driver(false);
	plu_take_over();
	vlu_bind(controller_device(&usb));
	session = plu_retrieve_session(SESSION);
	retrieve_memory(session, &usb, NULL);
	lost_nothing_over_jump(&usb);
	fd = plu_retrieve_fd(session, controller_device(&usb)->token);
	bind.iommufd = open("/dev/iommu", O_RDWR);
	plu_ok(fd >= 0 && !ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, &bind), "its file is bound");
	goes_on(&usb, "bound");
	plu_gives(vlu_try_finish(session), -EBUSY, "its session can't be finished");

	close(fd);
	close(bind.iommufd);
	plu_ok(is_stopped(&usb), "its file is closed, and it does not write any more");
	plu_gives(vlu_try_finish(session), 0, "its session can be finished");
	plu_gives(fallocate(usb.memory.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), 0,
		  "memory can be freed");
}

static void start(void)
{
	start_controller(&usb);
}

static const struct plu_test test = {
	.name = "translated_closed",
	.qemu = topology,
	.also = uhci_ids,
	.stage = {
		{ .run = kernel_a, .plan = 2, .cmdline = CMDLINE, .before_jump = start },
		{ .run = kernel_b, .plan = 7, .cmdline = CMDLINE },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
