// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/liveupdate is opened before there is a vfio-pci. That is no harm to sessions that
 * have only memory, and keeps the session of a device from being finished. As soon as the
 * kernel can load vfio-pci, it does when a file is asked for; vfio-pci binds itself to the
 * device, and to no other, and the file comes back at once. While vfio-pci is just being
 * loaded, it is as if it was not there.
 */

#include <errno.h>
#include <unistd.h>

#include <libliveupdate.h>

#include "vlu.h"

static const char *topology(void)
{
	return "-device intel-iommu\n"
		"-device pcie-root-port,id=rp1,chassis=1,addr=4\n"
		"-device edu,bus=rp1\n"
		"-device pcie-root-port,id=rp2,chassis=2,addr=5\n"
		"-device edu,bus=rp2";
}

#define DEVICE		(&plu.dev[0])
/* Not preserved */
#define OTHER		(&plu.dev[1])
#define SESSION		"vfio-late"
#define NEXT_SESSION	"vfio-late-next"
#define MEMORY_SESSION	"vfio-late-memory"
#define MEMORY_TOKEN	0x3e3
#define NO_HANDLER	"luo: No handler for files of type 'vfio-pci-device' in session ["

static void kernel_a(void)
{
	struct vlu_memory memory;

	if (plu_exists("/sys/bus/pci/drivers/vfio-pci"))
		plu_does_not_apply("vfio-pci is built in");
	vlu_load_driver(false);
	plu_find_devices(2);
	vlu_bind(DEVICE);
	vlu_open(DEVICE, iommu_init("iommufd"));
	plu_preserve(plu_session(SESSION), DEVICE);
	vlu_create_memory(&memory, NULL, 4096, 0);
	vlu_fill(memory.region.vaddr, 1);
	plu_gives(plu_try_preserve(plu_session(MEMORY_SESSION), memory.fd, MEMORY_TOKEN), 0,
		  "memory is preserved in a session of its own");
	plu_check("a device is outgoing");
}

static void use_sessions_with_memory(void)
{
	struct vlu_memory memory;
	int session;

	session = plu_retrieve_session(MEMORY_SESSION);
	vlu_retrieve_memory(&memory, NULL, 4096, 0, session, MEMORY_TOKEN);
	plu_ok(vlu_is_filled(memory.region.vaddr, 1), "memory is retrieved");
	plu_gives(luo_session_finish(session), 0, "its session is finished");
	close(session);
	session = plu_session("vfio-late-new");
	plu_gives(plu_try_preserve(session, memory.fd, MEMORY_TOKEN), 0,
		  "it can be preserved again");
	close(session);
}

static void try_without_driver(int session)
{
	plu_gives(plu_retrieve_fd(session, DEVICE->token), -EUNATCH,
		  "the file can't be retrieved, as nobody knows of its kind");
	plu_gives(luo_session_finish(session), -EUNATCH, "its session can't be finished");
	plu_ok(plu_times_said(NO_HANDLER SESSION "]"), "the kernel says why");
}

static void kernel_b(void)
{
	struct vfio_pci_device *v;
	struct iommu *iommu;
	int session;

	plu_take_over();
	plu_check("the device is incoming");
	use_sessions_with_memory();
	session = plu_retrieve_session(SESSION);
	try_without_driver(session);
	close(session);
	session = plu_retrieve_session(SESSION);
	plu_ok(!plu_exists(plu_sysfs(DEVICE, "driver")), "the device has no driver");

	vlu_load_driver_when_asked();
	plu_retrieve(session, DEVICE);
	DEVICE->driver = "vfio-pci";
	plu_check("as soon as the driver can be loaded, it can");
	plu_ok(!plu_exists(plu_sysfs(OTHER, "driver")), "vfio-pci has not bound another device");
	iommu = iommu_init("iommufd");
	v = vfio_pci_device_init_fd(DEVICE->bdf, iommu, DEVICE->fd);
	plu_ok(vlu_edu_is_alive(v, 1), "the device works");
	plu_finish(session);
	plu_check("it is finished");
	vlu_bind(OTHER);
	plu_ok(vlu_edu_is_alive(vlu_open(OTHER, iommu), 2), "the other one can be bound by hand");
	plu_preserve(plu_session(NEXT_SESSION), DEVICE);
	plu_check("the first one is preserved again");
}

static bool load_driver(void *arg)
{
	vlu_load_driver(false);

	return true;
}

struct attempt {
	int session, file;
};

static bool is_known(void *arg)
{
	struct attempt *attempt = arg;

	attempt->file = plu_retrieve_fd(attempt->session, DEVICE->token);

	return attempt->file != -EUNATCH;
}

static void kernel_c(void)
{
	struct attempt attempt;
	int session, loader;

	plu_take_over();
	session = plu_retrieve_session(NEXT_SESSION);
	attempt.session = session;
	loader = vlu_begin(load_driver, NULL);
	plu_ok(plu_wait_for(is_known, &attempt) && attempt.file >= 0,
	       "what is asked for all the while comes back when there is a driver");
	if (!vlu_ends("loading the driver", loader))
		plu_bail("no driver");
	DEVICE->driver = "vfio-pci";
	vlu_retrieve(session, DEVICE, iommu_init("iommufd"));
	plu_finish(session);
	plu_check("it is finished");
}

static const struct plu_test test = {
	.name = "vfio_late",
	.qemu = topology,
	.stage = {
		{ .run = kernel_a, .plan = 2, .cmdline = VLU_CMDLINE },
		{ .run = kernel_b, .plan = 14, .cmdline = VLU_CMDLINE },
		{ .run = kernel_c, .plan = 2, .cmdline = VLU_CMDLINE },
	},
};

int main(int argc, char *argv[])
{
	vlu_load_if_asked(argc, argv);

	return plu_main(argc, argv, &test);
}
