// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of PCI Live Update: the devices, and what can be done to them.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plu.h"

#define SYSFS_PCI	"/sys/bus/pci"

/* The devices of QEMU that the test driver drives. */
static const struct plu_id ids[] = {
	{ 0x1234, 0x11e8 },	/* edu */
	{ 0x1b36, 0x0005 },	/* pci-testdev */
};

const char *plu_node(const struct plu_device *d)
{
	static char path[64];

	snprintf(path, sizeof(path), "/dev/" PLU_DRIVER "-%s", d->bdf);

	return path;
}

const char *plu_sysfs(const struct plu_device *d, const char *file)
{
	static char path[128];

	snprintf(path, sizeof(path), SYSFS_PCI "/devices/%s/%s", d->bdf, file);

	return path;
}

int plu_open(const struct plu_device *d)
{
	int fd = open(plu_node(d), O_RDWR);

	return fd < 0 ? -errno : fd;
}

static unsigned int read_id(const struct plu_device *d, const char *file)
{
	char buf[32];

	if (plu_read_file(plu_sysfs(d, file), buf, sizeof(buf)) < 0)
		return 0;

	return strtoul(buf, NULL, 16);
}

static bool is_of_kind(const struct plu_device *d, const struct plu_id *id)
{
	return d->vendor == id->vendor && d->device == id->device;
}

/* Does the test driver bind it of its own accord? */
static bool is_for_driver(const struct plu_device *d)
{
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
		if (is_of_kind(d, &ids[i]))
			return true;

	return false;
}

static bool is_ours(const struct plu_device *d)
{
	for (const struct plu_id *id = plu.also; id && id->vendor; id++)
		if (is_of_kind(d, id))
			return true;

	return is_for_driver(d);
}

/* In the order of their addresses. */
static void insert_device(struct plu_device *table, unsigned int *nr, unsigned int max,
			  const struct plu_device *d)
{
	unsigned int i = *nr;

	if (i == max)
		plu_bail("more than %u devices or bridges", max);
	for (; i && strcmp(table[i - 1].bdf, d->bdf) > 0; i--)
		table[i] = table[i - 1];
	table[i] = *d;
	++*nr;
}

/*
 * From the link of a device, "../../../devices/pci0000:00/0000:00:05.0/0000:04:00.0",
 * to the root bus and the slot numbers on the way: "0000:00/05.0/00.0".
 */
static void read_path(struct plu_device *d)
{
	static const char root[] = "/devices/pci";
	const size_t slot_len = strlen("05.0");
	char link[256], *from, *to = d->path;
	ssize_t len;

	snprintf(link, sizeof(link), SYSFS_PCI "/devices/%s", d->bdf);
	len = readlink(link, link, sizeof(link) - 1);
	link[len < 0 ? 0 : len] = '\0';
	from = strstr(link, root);
	if (!from)
		plu_bail("%s: cannot see where it is: %s", d->bdf, link);
	from += sizeof(root) - 1;

	len = plu_until(from, '/');
	memcpy(to, from, len);
	to += len;
	while (from[len]) {
		from += len + 1;
		len = plu_until(from, '/');
		if (to + slot_len + 2 > d->path + sizeof(d->path))
			plu_bail("%s: is behind too many bridges", d->bdf);
		*to++ = '/';
		memcpy(to, from + len - slot_len, slot_len);
		to += slot_len;
	}
	*to = '\0';
}

/* What drives it now. */
static const char *read_driver(const struct plu_device *d)
{
	char link[256];
	ssize_t len;

	len = readlink(plu_sysfs(d, "driver"), link, sizeof(link) - 1);
	if (len < 0)
		return NULL;
	link[len] = '\0';

	return strdup(strrchr(link, '/') + 1);
}

/* There is none where no modules were loaded. */
static bool there_is_driver(void)
{
	return plu_exists(SYSFS_PCI "/drivers/" PLU_DRIVER);
}

static void add_device(struct plu_device *d)
{
	d->is_bridge = plu_is_bridge(d->bdf);
	if (!d->is_bridge && !is_ours(d))
		return;

	d->driver = is_for_driver(d) && there_is_driver() ? PLU_DRIVER : read_driver(d);
	read_path(d);
	if (d->is_bridge)
		insert_device(plu.bridge, &plu.nr_bridges, PLU_MAX_BRIDGES, d);
	else
		insert_device(plu.dev, &plu.nr_devices, PLU_MAX_DEVICES, d);
}

static void look_for_devices(void)
{
	struct plu_device found;
	struct dirent entry, *e;
	DIR *dir;

	dir = opendir(SYSFS_PCI "/devices");
	if (!dir)
		plu_bail(SYSFS_PCI "/devices: %s", strerror(errno));

	plu.nr_devices = 0;
	plu.nr_bridges = 0;
	while (!readdir_r(dir, &entry, &e) && e) {
		if (strlen(e->d_name) != PLU_BDF_SIZE - 1)
			continue;
		memset(&found, 0, sizeof(found));
		memcpy(found.bdf, e->d_name, PLU_BDF_SIZE);
		found.vendor = read_id(&found, "vendor");
		found.device = read_id(&found, "device");
		found.fd = -1;
		found.outgoing_session = -1;
		found.incoming_session = -1;
		add_device(&found);
	}
	closedir(dir);
}

void plu_find_devices(unsigned int at_least)
{
	struct plu_device *d;
	char name[64];

	plu_rewind_log();
	look_for_devices();
	if (plu.nr_devices < at_least)
		plu_skip("%u edu and pci-testdev devices, %u wanted",
			 plu.nr_devices, at_least);

	plu.handover = "none";
	for (d = plu.dev; d < plu_end(); d++)
		d->token = d - plu.dev + 1;

	/* By hand, there may be something left of an earlier test. */
	if (plu_cmdline("plu.test", name, sizeof(name)))
		return;
	if (!strcmp(plu_status("handover"), "foreign") ||
	    !strcmp(plu_status("handover"), "finished"))
		plu.handover = strdup(plu_status("handover"));
	plu.keep_buses = !strcmp(plu_status("keep_buses"), "yes");
	plu_read_log();
	for (d = plu.dev; d < plu_end(); d++)
		memcpy(d->messages, d->said, sizeof(d->said));
	for (d = plu.bridge; d < plu_bridges_end(); d++)
		memcpy(d->messages, d->said, sizeof(d->said));
}

int plu_command(struct plu_device *d, const char *fmt, ...)
{
	int fd = d->fd >= 0 ? d->fd : plu_open(d);
	char command[64];
	va_list args;
	int ret;

	if (fd < 0)
		return fd;

	va_start(args, fmt);
	vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);

	ret = plu_write_fd(fd, command);
	if (fd != d->fd)
		close(fd);

	return ret;
}

void plu_set_cookie(struct plu_device *d, __u64 cookie)
{
	int ret = plu_command(d, "cookie 0x%llx\n", (unsigned long long)cookie);

	if (ret)
		plu_bail("%s: cannot write the cookie: %s", d->bdf, strerror(-ret));
	d->cookie = cookie;
}

static int write_to_driver(const char *driver, const char *file,
			   const struct plu_device *d)
{
	char path[128];

	snprintf(path, sizeof(path), SYSFS_PCI "/drivers/%s/%s", driver, file);

	return plu_write_file(path, d->bdf);
}

int plu_unbind(struct plu_device *d)
{
	int ret = write_to_driver(d->driver, "unbind", d);

	if (!ret) {
		d->driver = NULL;
		d->cookie = 0;
	}

	return ret;
}

int plu_bind(struct plu_device *d, const char *driver)
{
	int ret = write_to_driver(driver, "bind", d);

	if (!ret)
		d->driver = driver;

	return ret;
}

int plu_driver_override(const char *bdf, const char *driver)
{
	struct plu_device at = {}, *d = plu_find(bdf);
	int ret;

	memcpy(at.bdf, bdf, PLU_BDF_SIZE);
	ret = plu_write_file(plu_sysfs(&at, "driver_override"), driver ?: "\n");
	if (!ret && plu_exists(plu_sysfs(&at, "driver")))
		ret = plu_write_file(plu_sysfs(&at, "driver/unbind"), bdf);
	if (ret)
		return ret;
	if (d) {
		d->driver = NULL;
		d->cookie = 0;
	}
	if (!driver)
		return 0;

	return plu_bind(d ?: &at, driver);
}

int plu_remove(struct plu_device *d)
{
	int ret = plu_write_file(plu_sysfs(d, "remove"), "1\n");

	if (!ret)
		plu_set_absent(d);

	return ret;
}

int plu_remove_bridge(struct plu_device *d)
{
	struct plu_device *bridge = plu_upstream(d, 0);

	if (!bridge)
		plu_bail("%s: there is no bridge above it", d->bdf);

	return plu_remove(bridge);
}

static void find_again(bool found)
{
	int ret = plu_write_file(SYSFS_PCI "/rescan", "1\n");
	struct plu_device *d;

	if (ret)
		plu_bail("cannot rescan: %s", strerror(-ret));
	for (d = plu.bridge; found && d < plu_bridges_end(); d++)
		if (d->absent)
			plu_set_present(d);
	for (d = plu.dev; d < plu_end(); d++) {
		if (!d->absent)
			continue;
		plu_set_present(d);
		d->absent = !found;
	}
}

void plu_rescan(void)
{
	find_again(true);
}

void plu_rescan_in_vain(void)
{
	find_again(false);
}
