// SPDX-License-Identifier: GPL-2.0
/*
 * A service manager holds the files of devices that keep running, for services that never
 * start. An administrator who removes such a device, or unbinds it, waits for nobody: the
 * device is stopped, and its file is dead. So is that of one that is switched off. Whoever
 * retrieves the file once more gets the stopped device, however long the dead file is held.
 * The module stays as long as one of them is.
 */

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/vfio.h>

#include "vlu.h"

#define NR_DEVICES	3
/* What is done to each of them */
#define REMOVED		(&plu.dev[0])
#define UNBOUND		(&plu.dev[1])
#define SWITCHED_OFF	(&plu.dev[2])
#define SESSION		"vfio-unbound"

static const char *topology(void)
{
	return vlu_slots(NR_DEVICES);
}

static void kernel_a(void)
{
	struct vfio_pci_device *v;
	struct iommu *iommu;
	int session;

	vlu_load_driver(true);
	plu_find_devices(NR_DEVICES);
	iommu = iommu_init("iommufd");
	session = plu_session(SESSION);
	for (struct plu_device *d = plu.dev; d < plu_end(); d++) {
		vlu_bind(d);
		v = vlu_open(d, iommu);
		if (vlu_set_feature(v->fd, VFIO_DEVICE_LIVEUPDATE_RUNNING))
			plu_bail("%s: can't run", d->bdf);
		vfio_pci_cmd_set(v, PCI_COMMAND_MASTER);
		plu_preserve(session, d);
	}
	plu_check("three devices are outgoing, to keep running");
}

static bool remove_device(void *d)
{
	return !vlu_remove(d);
}

static bool unbind(void *d)
{
	return !vlu_unbind(d);
}

static bool switch_off(void *d)
{
	return !vlu_switch_off(d);
}

static int try_bind(int fd, struct iommu *iommu)
{
	struct vfio_device_bind_iommufd bind = {
		.argsz = sizeof(bind),
		.iommufd = iommu->iommufd,
	};

	return ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, &bind) ? -errno : 0;
}

static void check_gone(struct plu_device *d, int file, struct iommu *iommu, const char *what,
		       bool (*do_it)(void *))
{
	plu_ok(plu_is_bus_master(d->bdf), "a device runs, whose file nobody has bound");
	plu_ok(vlu_does(what, do_it, d), "it can be %s", what);
	plu_gives(try_bind(file, iommu), -ENODEV, "its file is dead");
	plu_ok(vlu_bring_back(d), "it is there again");
	plu_ok(plu_is_incoming(d) && !plu_is_bus_master(d->bdf), "incoming, and stopped");
}

static void kernel_b(void)
{
	struct vfio_pci_device *v[NR_DEVICES];
	int session, file[NR_DEVICES];
	struct iommu *iommu;

	vlu_load_driver(true);
	plu_take_over();
	iommu = iommu_init("iommufd");
	session = plu_retrieve_session(SESSION);
	for (unsigned int i = 0; i < NR_DEVICES; i++) {
		file[i] = plu_retrieve_fd(session, plu.dev[i].token);
		if (file[i] < 0)
			plu_bail("%s: %s", plu.dev[i].bdf, strerror(-file[i]));
	}

	check_gone(REMOVED, file[0], iommu, "removed", remove_device);
	check_gone(UNBOUND, file[1], iommu, "unbound", unbind);
	check_gone(SWITCHED_OFF, file[2], iommu, "switched off", switch_off);
	plu_gives(plu_unload_module("vfio_pci"), plu_exists("/sys/module/vfio_pci/refcnt") ?
		  -EWOULDBLOCK : -ENOENT, "the driver stays as long as the files do");

	for (unsigned int i = 0; i < NR_DEVICES; i++) {
		v[i] = vlu_retrieve(session, &plu.dev[i], iommu);
		plu_ok(vlu_get_origin(v[i]->fd) >= VFIO_DEVICE_LIVEUPDATE_WAS_CLOSED &&
		       !plu_is_bus_master(plu.dev[i].bdf),
		       "its file can be retrieved again, and bound");
	}
	for (unsigned int i = 0; i < NR_DEVICES; i++) {
		vfio_pci_cmd_set(v[i], PCI_COMMAND_MASTER);
		close(file[i]);
		plu_ok(plu_is_incoming(&plu.dev[i]) && plu_is_bus_master(plu.dev[i].bdf) &&
		       vlu_edu_is_alive(v[i], i),
		       "when the dead one is closed, nothing changes");
	}
	plu_gives(vlu_try_finish(session), 0, "the session can be finished");
	for (unsigned int i = 0; i < NR_DEVICES; i++)
		plu_ok(!plu_is_incoming(&plu.dev[i]) && vlu_edu_is_alive(v[i], i + NR_DEVICES),
		       "the device is an ordinary one");
}

static const struct plu_test test = {
	.name = "vfio_unbound",
	.qemu = topology,
	.stage = {
		{ .run = kernel_a, .plan = 1, .cmdline = VLU_CMDLINE_NO_IOMMU },
		{ .run = kernel_b, .plan = 26, .cmdline = VLU_CMDLINE_NO_IOMMU },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
