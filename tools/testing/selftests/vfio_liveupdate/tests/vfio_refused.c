// SPDX-License-Identifier: GPL-2.0
/*
 * Files that can't be preserved: one that is not bound to an iommufd yet, one that came
 * from a group, those of a virtual function and of a display by Intel, and that of a device
 * which another driver of vfio-pci's family has; or that are none of vfio-pci's. The kernel
 * says why. A device that needs the IOMMU can't be left running. Files can be preserved
 * also when the driver was unloaded in between.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vlu.h"

#define NR_VFS		1

static const char *topology(void)
{
	return "-device intel-iommu\n"
		"-device pcie-root-port,id=rp1,chassis=1,addr=4\n"
		"-device edu,bus=rp1\n"
		"-device nvme-subsys,id=subsys\n"
		"-device pcie-root-port,id=rp2,chassis=2,addr=5\n"
		"-device nvme,bus=rp2,subsys=subsys,serial=1," PLU_NVME_VFS;
}

static const struct plu_id nvme[] = {
	{ 0x1b36, 0x0010 },
	{ }
};

#define EDU		(&plu.dev[0])
#define NVME		(&plu.dev[1])
#define SRIOV_MODULE	"external/pci_liveupdate_sriov"
#define PRETEND_MODULE	"external/pci_liveupdate_pretend"

static int session;

/* LUO asks all handlers, and finds none; the kernel says why. */
static void refuse_for(int fd, const char *what, const char *why)
{
	unsigned int said = plu_times_said(why);

	plu_gives(plu_try_preserve(session, fd, 1), -ENOENT, "%s is refused", what);
	if (plu_times_said(why) != said + 1)
		plu_say("'%s' is said %u times", why, plu_times_said(why) - said);
	plu_ok(plu_times_said(why) == said + 1, "the kernel says why");
	plu_check("nothing is preserved");
}

static void refuse(int fd, const char *what, const char *bdf, const char *why)
{
	char message[160];

	snprintf(message, sizeof(message), "%s: liveupdate: cannot be preserved: %s", bdf, why);
	refuse_for(fd, what, message);
}

static void refuse_unbound(void)
{
	int fd = vlu_try_open(EDU);

	if (fd < 0)
		plu_bail("cannot open it: %s", strerror(-fd));
	refuse(fd, "a file that is not bound to an iommufd", EDU->bdf,
	       "its file is not bound to an iommufd");
	close(fd);
}

static void refuse_group(void)
{
	struct vfio_pci_device *v;
	char message[64];
	struct iommu *iommu = iommu_init("vfio_type1v2_iommu");

	v = vfio_pci_device_init(EDU->bdf, iommu);
	refuse(v->fd, "a file that came from a group", EDU->bdf, "its file comes from a group");
	snprintf(message, sizeof(message), "luo: No handler preserves '%u'",
		 sysfs_iommu_group_get(EDU->bdf));
	refuse_for(v->group_fd, "the file of a group", message);
	vfio_pci_device_cleanup(v);
	iommu_cleanup(iommu);
}

static void refuse_intel_display(void)
{
	struct vfio_pci_device *v;
	char parameters[96];

	snprintf(parameters, sizeof(parameters), "device=%s vendor=0x8086 class=0x030000",
		 EDU->bdf);
	v = vlu_open(EDU, iommu_init("iommufd"));
	if (plu_load_module(PRETEND_MODULE, parameters))
		plu_bail("%s: cannot be made another", EDU->bdf);
	refuse(v->fd, "a display by Intel", EDU->bdf, "it is graphics by Intel");
	plu_unload_module("pci_liveupdate_pretend");
	vfio_pci_device_cleanup(v);
}

static void refuse_other_driver(void)
{
	struct vfio_pci_device *v;

	if (plu_load_module("external/vfio_pci_variant", "") ||
	    plu_driver_override(EDU->bdf, "vfio-pci-variant"))
		plu_bail("%s: cannot bind another driver", EDU->bdf);
	v = vlu_open(EDU, iommu_init("iommufd"));
	refuse(v->fd, "a device that another driver of the family has", EDU->bdf,
	       "its driver is not vfio-pci");
	refuse_for(v->iommu->iommufd, "an iommufd", "luo: No handler preserves 'iommu'");
	vfio_pci_device_cleanup(v);
	EDU->fd = -1;
	if (plu_driver_override(EDU->bdf, "vfio-pci"))
		plu_bail("%s: cannot bind vfio-pci", EDU->bdf);
}

static void refuse_virtual_function(void)
{
	struct plu_device vf = { .fd = -1 };
	struct vfio_pci_device *v;
	char parameters[64];

	snprintf(parameters, sizeof(parameters), "device=%s number=%u", NVME->bdf, NR_VFS);
	if (plu_load_module(SRIOV_MODULE, parameters))
		plu_bail("no virtual function");
	memcpy(vf.bdf, NVME->bdf, PLU_BDF_SIZE);
	vf.bdf[PLU_BDF_SIZE - 2] = '1';
	if (plu_driver_override(vf.bdf, "vfio-pci"))
		plu_bail("%s: cannot bind vfio-pci", vf.bdf);
	v = vlu_open(&vf, iommu_init("iommufd"));
	refuse(v->fd, "a virtual function", vf.bdf, "it is a virtual function");
	vfio_pci_device_cleanup(v);
	plu_unload_module("pci_liveupdate_sriov");
}

static void refuse_to_run(void)
{
	struct vfio_device_detach_iommufd_pt detach = { .argsz = sizeof(detach) };
	struct vfio_pci_device *v = vlu_open(EDU, iommu_init("iommufd"));
	int ret;

	plu_gives(vlu_set_feature(v->fd, VFIO_DEVICE_LIVEUPDATE_RUNNING), 0,
		  "a device behind an IOMMU can be left running");
	if (ioctl(v->fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach))
		plu_bail("%s: can't be detached", EDU->bdf);
	ret = plu_try_preserve(session, v->fd, EDU->token);
	plu_settle_preserve(session, EDU, ret);
	plu_gives(ret, -EOPNOTSUPP, "but not if it is not attached to a page table");
	plu_ok(plu_says_once("it is not attached to a page table of an IOAS"), "it says why");
	plu_gives(vlu_set_feature(v->fd, 0), 0, "it can be told to be reset");
	plu_gives(vlu_set_feature(v->fd, ~0U), -EINVAL, "there is nothing else it can be told");
	plu_gives(vlu_get_feature(v->fd), 0, "it says that it is");
	plu_gives(vlu_probe_feature(v->fd), 0, "and that it can be asked and told");
	plu_preserve(session, EDU);
	plu_check("it can be preserved");
	plu_close_session(session);
	plu_check("and unpreserved");
	plu_ok(vlu_edu_is_alive(v, 1), "and works on");
	vfio_pci_device_cleanup(v);
	EDU->fd = -1;
}

static void reload(void)
{
	struct vfio_pci_device *v;

	vlu_reload_driver();
	vlu_bind(EDU);
	v = vlu_open(EDU, iommu_init("iommufd"));
	session = plu_session("vfio-reloaded");
	plu_preserve(session, EDU);
	plu_check("it can be preserved when the driver was loaded anew");
	plu_close_session(session);
	plu_check("and unpreserved");
	vfio_pci_device_cleanup(v);
}

static void kernel(void)
{
	vlu_load_driver(false);
	plu_find_devices(2);
	vlu_bind(EDU);
	session = plu_session("vfio-refused");
	refuse_unbound();
	refuse_group();
	refuse_intel_display();
	refuse_other_driver();
	refuse_virtual_function();
	refuse_to_run();
	reload();
}

static const struct plu_test test = {
	.name = "vfio_refused",
	.qemu = topology,
	.also = nvme,
	.stage = {
		{ .run = kernel, .plan = 33, .cmdline = VLU_CMDLINE },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
