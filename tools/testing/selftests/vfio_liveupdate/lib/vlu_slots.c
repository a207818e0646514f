// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of live update with vfio-pci: many devices, each in a slot of its own, and what an
 * administrator does to them. The model does not follow that.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vlu.h"

/* On the root bus, root ports have what is from this slot number on, 8 to each. */
#define FIRST_ROOT_SLOT	4

const char *vlu_slots(unsigned int nr)
{
	static char arguments[16384];
	size_t len;

	/* The ports' own way to be plugged, not ACPI's */
	len = snprintf(arguments, sizeof(arguments),
		       "-global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off\n"
		       "-device intel-iommu\n");
	for (unsigned int i = 0; i < nr; i++)
		len += snprintf(arguments + len, sizeof(arguments) - len,
				"-device pcie-root-port,multifunction=on,id=rp%u,chassis=%u,slot=%u,addr=%x.%u\n"
				"-device edu,bus=rp%u\n",
				i + 1, i + 1, i + 1, FIRST_ROOT_SLOT + i / 8, i % 8, i + 1);

	return arguments;
}

static unsigned int slot_of(const struct plu_device *port)
{
	unsigned int slot, function;

	if (sscanf(port->bdf, "0000:00:%x.%u", &slot, &function) != 2)
		plu_bail("%s: is not on the root bus", port->bdf);

	return (slot - FIRST_ROOT_SLOT) * 8 + function + 1;
}

static struct plu_device *port_of(const struct plu_device *d)
{
	return plu_upstream(d, 0);
}

static void plug_in(const struct plu_device *port)
{
	unsigned int slot = slot_of(port);
	const char *answer = plu_monitor("device_add edu,bus=rp%u", slot);

	if (*answer)
		plu_bail("slot %u: %s", slot, answer);
}

static bool has_device(const struct plu_device *port)
{
	for (const struct plu_device *d = plu.dev; d < plu_end(); d++)
		if (plu_is_below(d, port))
			return true;

	return false;
}

static bool are_all_there(void *nr)
{
	plu_find_devices(0);

	return plu.nr_devices >= *(unsigned int *)nr;
}

void vlu_find_all(unsigned int nr)
{
	plu_find_devices(0);
	for (const struct plu_device *b = plu.bridge; b < plu_bridges_end(); b++)
		if (!has_device(b))
			plug_in(b);
	if (!plu_wait_for(are_all_there, &nr))
		plu_skip("%u devices instead of %u", plu.nr_devices, nr);
}

int vlu_unbind(const struct plu_device *d)
{
	return plu_write_file("/sys/bus/pci/drivers/vfio-pci/unbind", d->bdf);
}

int vlu_remove(const struct plu_device *d)
{
	return plu_write_file(plu_sysfs(d, "remove"), "1\n");
}

int vlu_switch_off(const struct plu_device *d)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/bus/pci/slots/%u/power", slot_of(port_of(d)));

	return plu_write_file(path, "0\n");
}

int vlu_rescan(const struct plu_device *d)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/class/pci_bus/%.7s/rescan", d->bdf);

	return plu_write_file(path, "1\n");
}

bool vlu_is_there(const struct plu_device *d)
{
	return plu_exists(plu_sysfs(d, "config"));
}

bool vlu_is_leaving(void *d)
{
	return !plu_exists(plu_sysfs(d, "vfio-dev"));
}

/* What has just been found can't be bound yet. */
static bool is_bound(void *arg)
{
	struct plu_device *d = arg;

	return vlu_is_there(d) &&
	       (!vlu_is_leaving(d) || !plu_driver_override(d->bdf, "vfio-pci"));
}

bool vlu_bring_back(struct plu_device *d)
{
	if (!vlu_is_there(d))
		vlu_rescan(d);
	if (!vlu_is_there(d)) {
		/* A slot that is not off yet does not notice that something is plugged in. */
		if (!plu_wait_until_empty(port_of(d)))
			return false;
		plug_in(port_of(d));
	}
	if (plu_wait_for(is_bound, d))
		return true;
	plu_say("%s: cannot be brought back", d->bdf);

	return false;
}
