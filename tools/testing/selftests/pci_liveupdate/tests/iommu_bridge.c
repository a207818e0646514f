// SPDX-License-Identifier: GPL-2.0
/*
 * Where an IOMMU translates the DMA of all preserved devices below a bridge, neither they
 * nor the bridge are bus masters any more when the kernel is replaced. A bridge above one
 * whose DMA is not translated is, though its own would be. Another bridge is none.
 *
 * Drivers are late in the new kernel here, to see what is so without them.
 */

#include <string.h>

#include "plu.h"

static const char *topology(void)
{
	return "-device intel-iommu\n"
		"-device pcie-root-port,id=rp1,chassis=1,addr=4\n"
		"-device edu,bus=rp1\n"
		"-device pcie-root-port,id=rp2,chassis=2,addr=5\n"
		"-device edu,bus=rp2\n"
		"-device pcie-root-port,id=rp3,chassis=3,addr=6\n"
		"-device edu,bus=rp3";
}

/* Preserved, and translated, or not; and another */
#define KEPT		"0000:00/04.0/00.0"
#define OTHER		"0000:00/05.0/00.0"
#define UNTRANSLATED	"0000:00/06.0/00.0"

#define SESSION		"iommu_bridge"

static bool is_translated(const struct plu_device *d)
{
	char type[32];

	if (plu_read_file(plu_sysfs(d, "iommu_group/type"), type, sizeof(type)) <= 0)
		plu_skip("%s: no IOMMU group", d->bdf);

	return strcmp(type, "identity\n");
}

static bool is_bridge_master(const char *path)
{
	return plu_is_bus_master(plu_bridge_above(plu_at(path), 0));
}

/* A group is as it is while a driver has one of its devices. */
static void do_not_translate(struct plu_device *d)
{
	if (plu_unbind(d) || plu_write_file(plu_sysfs(d, "iommu_group/type"), "identity\n") ||
	    plu_bind(d, PLU_DRIVER))
		plu_bail("%s: cannot do DMA as if there was no IOMMU", d->bdf);
}

static void preserve(int session, struct plu_device *d)
{
	plu_set_bus_master(d->bdf, true);
	plu_preserve(session, d);
}

static void kernel_a(void)
{
	int session;

	plu_find_devices(3);
	do_not_translate(plu_at(UNTRANSLATED));
	plu_ok(is_translated(plu_at(KEPT)) && !is_translated(plu_at(UNTRANSLATED)) &&
	       is_translated(plu_upstream(plu_at(UNTRANSLATED), 0)),
	       "an IOMMU translates the DMA of one device, and not that of a second");
	session = plu_session(SESSION);
	preserve(session, plu_at(KEPT));
	preserve(session, plu_at(UNTRANSLATED));
	plu_ok(is_bridge_master(KEPT) && is_bridge_master(OTHER) &&
	       is_bridge_master(UNTRANSLATED), "all bridges are bus masters");
	plu_check("both are outgoing");
}

static void kernel_b(void)
{
	struct plu_device *d;

	if (plu_write_file("/sys/bus/pci/drivers_autoprobe", "0\n") ||
	    plu_load_module(PLU_DRIVER, ""))
		plu_bail("cannot load the driver");
	plu_take_over();
	for (d = plu.dev; d < plu_end(); d++)
		d->driver = NULL;

	plu_ok(!plu_is_bus_master(plu_at(KEPT)->bdf) && !is_bridge_master(KEPT),
	       "the first is no bus master, nor is the bridge above it");
	plu_ok(plu_is_bus_master(plu_at(UNTRANSLATED)->bdf) && is_bridge_master(UNTRANSLATED),
	       "the second is, and so is the bridge above it");
	plu_ok(!is_bridge_master(OTHER), "another bridge is not");
	plu_check("both are incoming");
}

static const struct plu_test test = {
	.name = "iommu_bridge",
	.qemu = topology,
	.stage = {
		{ .run = kernel_a, .plan = 3, .cmdline = "intel_iommu=on iommu=nopt" },
		{ .run = kernel_b, .plan = 4,
		  .cmdline = "plu.modules=none initcall_blacklist=pcie_portdrv_init" },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
