// SPDX-License-Identifier: GPL-2.0
/*
 * The bridges above a preserved device stay bus masters, without which none of its DMA
 * would get through: when the old kernel ends, when the new one enumerates them, when
 * their driver is bound, and when it is unbound. Other bridges do not.
 *
 * Drivers are late in the new kernels here, to see what is so without them.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <linux/pci_regs.h>

#include "plu.h"

static const char *topology(void)
{
	return "-device pcie-root-port,id=rp1,chassis=1,addr=4\n"
		"-device x3130-upstream,id=up1,bus=rp1\n"
		"-device xio3130-downstream,id=dn1,bus=up1,chassis=2\n"
		"-device edu,bus=dn1\n"
		"-device pcie-root-port,id=rp2,chassis=3,addr=5\n"
		"-device x3130-upstream,id=up2,bus=rp2\n"
		"-device xio3130-downstream,id=dn2,bus=up2,chassis=4\n"
		"-device edu,bus=dn2\n"
		"-device pcie-pci-bridge,id=pb1,addr=6 -device edu,bus=pb1,addr=1\n"
		"-device pcie-pci-bridge,id=pb2,addr=7 -device edu,bus=pb2,addr=1";
}

#define KEPT		"0000:00/04.0/00.0/00.0/00.0"
#define OTHER		"0000:00/05.0/00.0/00.0/00.0"
#define KEPT_PCI	"0000:00/06.0/01.0"
#define OTHER_PCI	"0000:00/07.0/01.0"

#define SESSION		"busmaster_bridge"
#define PORT_DRIVER	"pcieport"

/* How many bridges above a device are bus masters. */
static unsigned int masters(const char *path)
{
	const struct plu_device *d = plu_at(path);
	unsigned int n = 0;

	for (unsigned int level = 0; level < plu_level(d); level++)
		n += plu_is_bus_master(plu_bridge_above(d, level));

	return n;
}

static bool all_are_masters(const char *path)
{
	return masters(path) == plu_level(plu_at(path));
}

/* The driver has to be there for the hand-over, but is not to touch the devices. */
static void take_over_without_driver(void)
{
	struct plu_device *d;

	if (plu_write_file("/sys/bus/pci/drivers_autoprobe", "0\n") ||
	    plu_load_module(PLU_DRIVER, ""))
		plu_bail("cannot load the driver");
	plu_take_over();
	for (d = plu.dev; d < plu_end(); d++)
		d->driver = NULL;
}

static void bind_devices(void)
{
	struct plu_device *d;

	for (d = plu.dev; d < plu_end(); d++)
		if (plu_bind(d, PLU_DRIVER))
			plu_bail("%s: cannot be bound", d->bdf);
}

static void preserve_both(void)
{
	int session = plu_session(SESSION);

	plu_preserve(session, plu_at(KEPT));
	plu_preserve(session, plu_at(KEPT_PCI));
}

static void finish_both(void)
{
	int session = plu_retrieve_session(SESSION);

	plu_retrieve(session, plu_at(KEPT));
	plu_retrieve(session, plu_at(KEPT_PCI));
	plu_finish(session);
	plu_close_session(session);
}

static void kernel_a(void)
{
	plu_find_devices(4);
	plu_ok(all_are_masters(KEPT) && all_are_masters(OTHER) &&
	       all_are_masters(KEPT_PCI) && all_are_masters(OTHER_PCI),
	       "all bridges are bus masters");
	preserve_both();
	plu_set_bus_master(plu_at(KEPT)->bdf, true);
	plu_check("two devices are outgoing, with their bridges");
}

static int watched(const char *what)
{
	char path[64], text[16];

	snprintf(path, sizeof(path), "/sys/module/pci_liveupdate_spy/parameters/%s", what);
	if (plu_read_file(path, text, sizeof(text)) < 0)
		plu_bail("%s: cannot read it", path);

	return atoi(text);
}

/* Remove a bridge, look for it, and see whether it stopped being a bus master meanwhile. */
static void find_again(struct plu_device *d, const char *what)
{
	char parameters[32];

	snprintf(parameters, sizeof(parameters), "device=%s", d->bdf);
	plu_gives(plu_remove(d), 0, "%s is removed", what);
	plu_gives(plu_load_module("external/pci_liveupdate_spy", parameters), 0,
		  "its command register is watched");
	plu_rescan();
	plu_ok(watched("writes") && !watched("switched_off"),
	       "it is found again, and is a bus master all the time");
	plu_gives(plu_unload_module("pci_liveupdate_spy"), 0,
		  "it is not watched any more");
}

/* As quirks do it, and userspace can */
static bool is_master_once_disabled(const char *path)
{
	struct plu_device *d = plu_at(path);

	plu_set_bus_master(d->bdf, true);
	if (plu_write_file(plu_sysfs(d, "enable"), "1\n") ||
	    plu_write_file(plu_sysfs(d, "enable"), "0\n"))
		plu_bail("%s: cannot be enabled and disabled", d->bdf);

	return plu_is_bus_master(d->bdf);
}

/* Without the driver of ports */
static void kernel_b(void)
{
	take_over_without_driver();
	plu_check("the devices are incoming, without drivers");
	plu_ok(all_are_masters(KEPT) && all_are_masters(KEPT_PCI),
	       "the bridges above them are bus masters");
	plu_ok(!masters(OTHER) && !masters(OTHER_PCI), "the others are not");

	plu_gives(plu_remove(plu_at(KEPT)), 0, "a preserved device is removed");
	plu_rescan();
	plu_ok(!plu_is_bus_master(plu_at(KEPT)->bdf), "it is found again, and was stopped");
	find_again(plu_upstream(plu_at(KEPT), 2), "the root port above it");
	plu_ok(is_master_once_disabled(KEPT_PCI),
	       "a preserved device is a bus master when it is disabled without a driver");
	plu_ok(!is_master_once_disabled(OTHER), "another is not");
	plu_check("the devices are incoming");

	bind_devices();
	plu_ok(all_are_masters(OTHER) && all_are_masters(OTHER_PCI),
	       "with the devices' driver the other bridges are bus masters, too");
	finish_both();
	preserve_both();
	plu_check("the devices are finished, and outgoing");
}

/* Unbind the driver of each bridge, from below. How many of them are bus masters then? */
static unsigned int unbind_ports(const char *path)
{
	const struct plu_device *d = plu_at(path);

	for (unsigned int level = 0; level < plu_level(d); level++) {
		plu_set_bus_master(plu_bridge_above(d, level), true);
		if (plu_unbind(plu_upstream(d, level)))
			plu_bail("%s: cannot be unbound", plu_bridge_above(d, level));
	}

	return masters(path);
}

static void bind_ports(const char *path)
{
	const struct plu_device *d = plu_at(path);

	for (unsigned int level = plu_level(d); level--;) {
		plu_set_bus_master(plu_bridge_above(d, level), true);
		if (plu_bind(plu_upstream(d, level), PORT_DRIVER))
			plu_bail("%s: cannot be bound", plu_bridge_above(d, level));
	}
}

/*
 * Without MSI, and when the port says that it has no interrupt pin either, its driver
 * finds nothing to do, and that the port need not be a bus master.
 */
static bool is_master_without_interrupts(const char *path)
{
	const struct plu_device *d = plu_at(path);
	struct plu_device *port = plu_upstream(d, 2);
	char parameters[64];
	bool is_master;

	snprintf(parameters, sizeof(parameters), "device=%s offset=%u size=1 value=0",
		 port->bdf, PCI_INTERRUPT_PIN);
	if (plu_remove(port) ||
	    plu_load_module("external/pci_liveupdate_fake", parameters))
		plu_bail("%s: cannot be made another", port->bdf);
	plu_rescan();
	for (struct plu_device *b = plu.bridge; b < plu_bridges_end(); b++)
		if (b == port || plu_is_below(b, port))
			b->driver = NULL;
	plu_set_bus_master(port->bdf, true);
	if (plu_bind(port, PORT_DRIVER) ||
	    plu_unload_module("pci_liveupdate_fake"))
		plu_bail("%s: cannot be bound", port->bdf);

	is_master = plu_is_bus_master(port->bdf);
	if (plu_bind(plu_upstream(d, 1), PORT_DRIVER) ||
	    plu_bind(plu_upstream(d, 0), PORT_DRIVER))
		plu_bail("the ports below %s cannot be bound", port->bdf);

	return is_master;
}

/* With it */
static void kernel_c(void)
{
	take_over_without_driver();
	plu_check("the devices are incoming, without drivers");
	plu_ok(all_are_masters(KEPT) && all_are_masters(KEPT_PCI),
	       "the bridges above them are bus masters");
	plu_ok(!masters(OTHER_PCI), "a bridge that has no driver is not");

	plu_ok(unbind_ports(KEPT) == 3, "they are when their driver is unbound");
	plu_ok(!unbind_ports(OTHER), "the others are not");
	bind_ports(KEPT);
	bind_ports(OTHER);
	plu_ok(is_master_without_interrupts(KEPT),
	       "they are when their driver finds nothing to do");
	plu_ok(!is_master_without_interrupts(OTHER), "the others are not");
	plu_check("the devices are incoming");

	bind_devices();
	finish_both();
	plu_gives(plu_driver_override(plu_at(KEPT)->bdf, NULL), 0,
		  "the devices are finished, and one has no driver");
	plu_ok(!unbind_ports(KEPT), "its bridges are bridges like the others");
}

static const struct plu_test test = {
	.name = "busmaster_bridge",
	.qemu = topology,
	.stage = {
		{ .run = kernel_a, .plan = 2 },
		{ .run = kernel_b, .plan = 14,
		  .cmdline = "plu.modules=none initcall_blacklist=pcie_portdrv_init" },
		{ .run = kernel_c, .plan = 10, .cmdline = "plu.modules=none pci=nomsi" },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
