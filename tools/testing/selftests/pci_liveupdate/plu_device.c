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

struct plu_model plu;

/* The devices of QEMU that the test driver drives. */
static const struct {
	unsigned int vendor;
	unsigned int device;
} ids[] = {
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

static bool is_ours(const struct plu_device *d)
{
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
		if (d->vendor == ids[i].vendor && d->device == ids[i].device)
			return true;

	return false;
}

static int compare_devices(const struct plu_device *a, const struct plu_device *b)
{
	return strcmp(a->bdf, b->bdf);
}

static void insert_device(const struct plu_device *d)
{
	unsigned int i = plu.nr_devices;

	if (i == PLU_MAX_DEVICES)
		plu_bail("more than %d devices", PLU_MAX_DEVICES);
	for (; i && compare_devices(&plu.dev[i - 1], d) > 0; i--)
		plu.dev[i] = plu.dev[i - 1];
	plu.dev[i] = *d;
	plu.nr_devices++;
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

static void look_for_devices(void)
{
	struct plu_device found;
	struct dirent entry, *e;
	DIR *dir;

	dir = opendir(SYSFS_PCI "/devices");
	if (!dir)
		plu_bail(SYSFS_PCI "/devices: %s", strerror(errno));

	plu.nr_devices = 0;
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
		found.driver = PLU_DRIVER;
		if (!is_ours(&found))
			continue;
		read_path(&found);
		insert_device(&found);
	}
	closedir(dir);
}

void plu_find_devices(unsigned int at_least)
{
	struct plu_device *d;
	char name[64];

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
	plu_read_log();
	for (d = plu.dev; d < plu_end(); d++)
		for (int m = 0; m < PLU_NR_MESSAGES; m++)
			d->messages[m] = plu_said(d, m);
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

int plu_remove(struct plu_device *d)
{
	int ret = plu_write_file(plu_sysfs(d, "remove"), "1\n");

	if (!ret) {
		d->absent = true;
		d->cookie = 0;
	}

	return ret;
}

bool plu_is_behind_bridge(const struct plu_device *d)
{
	/* "0000:00/05.0/00.0" */
	return strchr(d->path, '/') != strrchr(d->path, '/');
}

int plu_remove_bridge(struct plu_device *d)
{
	size_t len = strrchr(d->path, '/') - d->path;
	struct plu_device *other;
	int ret;

	ret = plu_write_file(plu_sysfs(d, "../remove"), "1\n");
	if (ret)
		return ret;

	for (other = plu.dev; other < plu_end(); other++) {
		if (strncmp(other->path, d->path, len + 1))
			continue;
		other->absent = true;
		other->cookie = 0;
	}

	return 0;
}

static void find_again(bool found)
{
	int ret = plu_write_file(SYSFS_PCI "/rescan", "1\n");
	struct plu_device *d;

	if (ret)
		plu_bail("cannot rescan: %s", strerror(-ret));
	for (d = plu.dev; d < plu_end(); d++) {
		if (!d->absent)
			continue;
		d->absent = !found;
		if (d->incoming == PLU_INCOMING)
			d->messages[PLU_MSG_PRESERVED]++;
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
