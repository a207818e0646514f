// SPDX-License-Identifier: GPL-2.0
/*
 * PCI Live Update: devices for the benchmark, more than any machine has, and what
 * drivers and the PCI core call for each.
 *
 * They are on no list of the PCI core or the driver core, so that nobody finds them
 * by anything but their addresses, in domains that no real device has. What is
 * called reads of a device what follows, and no more:
 *
 * - its bus, which is a root bus as it has no parent, its number there, and its domain,
 *   also that which the bus's sysdata tells of;
 * - its type of header, 0; that it is no virtual function; that it is not removed; its
 *   vendor and device, 0, to which no quirk applies; that it has no IOMMU: all zeroed;
 * - whether it has a driver, but nothing of that;
 * - its command register, which says that INTx is disabled, as in most devices that are
 *   handed over;
 * - its reference count and its name, which device_initialize() and dev_set_name() see
 *   to.
 *
 * They are never freed: a kernel with the benchmark is for nothing else.
 */

#include <linux/device.h>
#include <linux/pci.h>
#include <linux/pci_liveupdate.h>
#include <linux/vmalloc.h>

#include "../../liveupdate.h"
#include "bench.h"

#define BUSES_PER_DOMAIN	256
#define PER_BUS			(PLU_BENCH_PER_DOMAIN / BUSES_PER_DOMAIN)
#define NR_DOMAINS		(PLU_BENCH_MAX / PLU_BENCH_PER_DOMAIN)

static struct pci_sysdata domains[NR_DOMAINS];
static struct pci_driver driver;
static struct pci_bus *buses;
static struct pci_dev *devices;
static unsigned int made;

static int read_command(struct pci_bus *bus, unsigned int devfn, int where, int size,
			u32 *value)
{
	*value = where == PCI_COMMAND ? PCI_COMMAND_INTX_DISABLE : 0;

	return PCIBIOS_SUCCESSFUL;
}

static struct pci_ops ops = { .read = read_command };

static int make_buses(void)
{
	unsigned int nr = NR_DOMAINS * BUSES_PER_DOMAIN;

	for (unsigned int i = 0; i < nr; i++) {
		unsigned int domain = PLU_BENCH_DOMAIN + i / BUSES_PER_DOMAIN;

		if (pci_find_bus(domain, i % BUSES_PER_DOMAIN))
			return -EBUSY;
		domains[i / BUSES_PER_DOMAIN].domain = domain;
	}

	buses = vcalloc(nr, sizeof(*buses));
	if (!buses)
		return -ENOMEM;

	for (unsigned int i = 0; i < nr; i++) {
		buses[i].number = i % BUSES_PER_DOMAIN;
		buses[i].sysdata = &domains[i / BUSES_PER_DOMAIN];
		buses[i].ops = &ops;
	}

	return 0;
}

static void never(struct device *dev)
{
	WARN_ON_ONCE(1);
}

static int make_device(unsigned int n)
{
	struct pci_dev_ser address = plu_bench_record(n);
	struct pci_dev *dev = &devices[n];

	dev->bus = &buses[n / PER_BUS];
	dev->devfn = address.bdf & 0xff;
	dev->driver = &driver;
	/* Who sets it up says so, but not all of them are. */
	dev->liveupdate_domain = address.domain;
	device_initialize(&dev->dev);
	dev->dev.release = never;

	return dev_set_name(&dev->dev, "%04x:%02x:%02x.%d", address.domain,
			    PCI_BUS_NUM(address.bdf), PCI_SLOT(address.bdf),
			    PCI_FUNC(address.bdf));
}

/* Sees to it that there are @n. */
int plu_bench_make_devices(unsigned int n)
{
	int err;

	if (n > PLU_BENCH_MAX)
		return -EINVAL;
	if (!buses) {
		err = make_buses();
		if (err)
			return err;
	}
	if (!devices)
		devices = vcalloc(PLU_BENCH_MAX, sizeof(*devices));
	if (!devices)
		return -ENOMEM;

	for (; made < n; made++) {
		err = make_device(made);
		if (err)
			return err;
	}

	return 0;
}

struct pci_dev *plu_bench_devices(void)
{
	return devices;
}

void plu_bench_setup(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		pci_liveupdate_setup_device(&devices[i]);
}

int plu_bench_preserve(unsigned int n)
{
	int err;

	for (unsigned int i = 0; i < n; i++) {
		err = pci_liveupdate_preserve(&devices[i]);
		if (err)
			return err;
	}

	return 0;
}

int plu_bench_unpreserve(unsigned int n)
{
	int err;

	for (unsigned int i = 0; i < n; i++) {
		err = pci_liveupdate_unpreserve(&devices[i]);
		if (err)
			return err;
	}

	return 0;
}

void plu_bench_finish(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		pci_liveupdate_finish(&devices[i]);
}
