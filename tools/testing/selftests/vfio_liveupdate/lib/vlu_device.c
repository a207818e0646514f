// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of live update with vfio-pci: devices in the hands of vfio-pci.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/io.h>

#include <libliveupdate.h>

#include "vlu.h"

static void load_one(const char *name, const char *parameters)
{
	int ret = plu_load_module(name, parameters);

	/* Not a module, or loaded already */
	if (ret && ret != -ENOENT && ret != -EEXIST)
		plu_bail("cannot load %s: %s", name, strerror(-ret));
}

static void load_vfio_pci(void)
{
	load_one("vfio/vfio-pci", "enable_sriov=1");
}

void vlu_load_driver(bool no_iommu)
{
	load_one("vfio/vfio", no_iommu ? "enable_unsafe_noiommu_mode=1" : "");
	load_one("vfio/vfio_iommu_type1", "");
	load_one("irqbypass", "");
	load_one("vfio/vfio-pci-core", "");
	load_vfio_pci();
	if (!plu_exists("/sys/bus/pci/drivers/vfio-pci"))
		plu_skip("there is no vfio-pci: no module, or no CONFIG_VFIO_PCI");
}

/* What modules are asked for by whose files LUO has; and what a module says of itself */
#define ALIAS		"luo:vfio-pci-device"
#define MODULE		"/modules/vfio/vfio-pci.ko"

static bool has_alias(void)
{
	static const char alias[] = "alias=" ALIAS;
	int fd = open(MODULE, O_RDONLY);
	off_t size = lseek(fd, 0, SEEK_END);
	void *module = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);

	close(fd);

	return module != MAP_FAILED && memmem(module, size, alias, sizeof(alias));
}

void vlu_load_driver_when_asked(void)
{
	char path[128] = "";

	if (readlink("/proc/self/exe", path, sizeof(path) - 1) < 0 ||
	    plu_write_file("/proc/sys/kernel/modprobe", path))
		plu_bail("the kernel can't be told how to load modules");
}

void vlu_load_if_asked(int argc, char *argv[])
{
	/* As the kernel calls modprobe */
	if (argc != 4 || strcmp(argv[1], "-q") || strcmp(argv[2], "--"))
		return;

	if (strcmp(argv[3], ALIAS) || !has_alias())
		exit(EXIT_FAILURE);
	vlu_load_driver(false);
	exit(EXIT_SUCCESS);
}

void vlu_reload_driver(void)
{
	int ret = plu_unload_module("vfio_pci");

	if (ret == -ENOENT)
		return;
	if (ret)
		plu_bail("cannot unload vfio-pci: %s", strerror(-ret));
	load_vfio_pci();
}

void vlu_bind(struct plu_device *d)
{
	int ret = plu_driver_override(d->bdf, "vfio-pci");

	if (ret)
		plu_bail("%s: cannot bind vfio-pci: %s", d->bdf, strerror(-ret));
}

struct vfio_pci_device *vlu_open(struct plu_device *d, struct iommu *iommu)
{
	struct vfio_pci_device *v = vfio_pci_device_init(d->bdf, iommu);

	d->fd = v->fd;

	return v;
}

struct vfio_pci_device *vlu_retrieve(int session, struct plu_device *d, struct iommu *iommu)
{
	struct vfio_pci_device *v;

	plu_retrieve(session, d);
	v = vfio_pci_device_init_fd(d->bdf, iommu, d->fd);
	d->taken_over = true;

	return v;
}

int vlu_try_open(const struct plu_device *d)
{
	const char *path = vfio_pci_get_cdev_path(d->bdf);
	int fd = open(path, O_RDWR);

	if (fd < 0)
		fd = -errno;
	free((void *)path);

	return fd;
}

int vlu_try_open_group(const struct plu_device *d)
{
	char path[64];
	int group;

	snprintf(path, sizeof(path), "/dev/vfio/%u", sysfs_iommu_group_get(d->bdf));
	group = open(path, O_RDWR);

	return group < 0 ? -errno : group;
}

int vlu_try_get_from_group(int group, const struct plu_device *d)
{
	int fd = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, d->bdf);

	return fd < 0 ? -errno : fd;
}

int vlu_try_attach_group(const struct plu_device *d)
{
	int container = open("/dev/vfio/vfio", O_RDWR);
	int group = vlu_try_open_group(d), ret = 0;

	if (container < 0)
		plu_bail("/dev/vfio/vfio: %s", strerror(errno));
	if (group < 0)
		ret = group;
	else if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container))
		ret = -errno;
	close(group);
	close(container);

	return ret;
}

int vlu_attach(int fd, __u32 page_table)
{
	struct vfio_device_attach_iommufd_pt attach = {
		.argsz = sizeof(attach),
		.pt_id = page_table,
	};

	return ioctl(fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach) ? -errno : 0;
}

int vlu_detach(int fd)
{
	struct vfio_device_detach_iommufd_pt detach = { .argsz = sizeof(detach) };

	return ioctl(fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach) ? -errno : 0;
}

int vlu_try_finish(int session)
{
	return luo_session_finish(session);
}

struct liveupdate_feature {
	struct vfio_device_feature header;
	struct vfio_device_feature_liveupdate data;
};

static int call_feature(int fd, struct liveupdate_feature *feature, __u32 direction)
{
	feature->header.argsz = sizeof(*feature);
	feature->header.flags = direction | VFIO_DEVICE_FEATURE_LIVEUPDATE;

	return ioctl(fd, VFIO_DEVICE_FEATURE, &feature->header) ? -errno : 0;
}

int vlu_set_feature(int fd, __u32 flags)
{
	struct liveupdate_feature feature = { .data.flags = flags };

	return call_feature(fd, &feature, VFIO_DEVICE_FEATURE_SET);
}

int vlu_probe_feature(int fd)
{
	struct liveupdate_feature feature = {};

	return call_feature(fd, &feature, VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_GET |
					  VFIO_DEVICE_FEATURE_SET);
}

int vlu_get_feature(int fd)
{
	struct liveupdate_feature feature = { .data.flags = ~0U };

	return call_feature(fd, &feature, VFIO_DEVICE_FEATURE_GET) ?: (int)feature.data.flags;
}

int vlu_get_origin(int fd)
{
	struct liveupdate_feature feature = { .data.origin = ~0U };

	return call_feature(fd, &feature, VFIO_DEVICE_FEATURE_GET) ?: (int)feature.data.origin;
}

__u32 vlu_access(const struct plu_device *d, unsigned int offset, const __u32 *value)
{
	int fd = open(plu_sysfs(d, "resource0"), O_RDWR);
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset & ~4095U);
	__u32 command = plu_config_read(d->bdf, PCI_COMMAND, 2);
	__u32 is;

	if (page == MAP_FAILED)
		plu_bail("%s: cannot map its registers: %s", d->bdf, strerror(errno));
	close(fd);
	plu_config_write(d->bdf, PCI_COMMAND, 2, command | PCI_COMMAND_MEMORY);
	if (value)
		writel(*value, page + (offset & 4095));
	is = readl(page + (offset & 4095));
	plu_config_write(d->bdf, PCI_COMMAND, 2, command);
	munmap(page, 4096);

	return is;
}
