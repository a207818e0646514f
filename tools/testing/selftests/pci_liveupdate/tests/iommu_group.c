// SPDX-License-Identifier: GPL-2.0
/*
 * Where there is an IOMMU, a device can be preserved only if it is alone in its group,
 * and the ACS controls of all bridges above it see to it that this does not change. The
 * kernel says what is in the way: the other members, or the bridge. Without an IOMMU
 * nothing of that matters.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include "plu.h"

static const char *topology(void)
{
	return "-device intel-iommu\n"
		"-device edu,addr=3\n"
		"-device pcie-root-port,id=rp1,chassis=1,addr=4 -device edu,bus=rp1\n"
		/* QEMU's switches have no ACS. */
		"-device pcie-root-port,id=rp2,chassis=2,addr=5\n"
		"-device x3130-upstream,id=up,bus=rp2\n"
		"-device xio3130-downstream,id=dn1,bus=up,chassis=3\n"
		"-device xio3130-downstream,id=dn2,bus=up,chassis=4\n"
		"-device edu,bus=dn1 -device pci-testdev,bus=dn2\n"
		/* Devices on a conventional bus do DMA in the name of the bridge. */
		"-device pcie-pci-bridge,id=pb,addr=6 -device pci-testdev,bus=pb,addr=1\n"
		"-device edu,addr=7.0,multifunction=on -device pci-testdev,addr=7.1\n"
		/* This is alone, as far as one sees. */
		"-device edu,addr=8,multifunction=on\n"
		/* Functions with ACS */
		"-device pcie-root-port,id=rp3,chassis=5,addr=9.0,multifunction=on\n"
		"-device pcie-root-port,id=rp4,chassis=6,addr=9.1\n"
		"-device edu,bus=rp3 -device edu,bus=rp4";
}

#define NR_DEVICES	10

#define ON_ROOT_BUS	"0000:00/03.0"
#define BEHIND_PORT	"0000:00/04.0/00.0"
#define BEHIND_SWITCH	"0000:00/05.0/00.0/00.0/00.0"
#define BEHIND_BRIDGE	"0000:00/06.0/01.0"
#define FUNCTION_0	"0000:00/07.0"
#define FUNCTION_1	"0000:00/07.1"
#define LONE_FUNCTION	"0000:00/08.0"
#define BEHIND_PORT_0	"0000:00/09.0/00.0"
#define BEHIND_PORT_1	"0000:00/09.1/00.0"

#define SESSION		"iommu_group"
#define ALIAS_MODULE	"pci_liveupdate_alias"

/* What the IOMMU needs of a bridge */
static const unsigned int isolating[] = {
	PCI_ACS_SV, PCI_ACS_RR, PCI_ACS_CR, PCI_ACS_UF,
};

#define ISOLATING	(PCI_ACS_SV | PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_UF)

static bool is_accepted(const char *path)
{
	return plu_is_accepted(plu_at(path));
}

static const char *bridge_above(const char *path, unsigned int level)
{
	return plu_bridge_above(plu_at(path), level);
}

static bool is_refused_with(const char *path, const char *other)
{
	return plu_is_refused(plu_at(path), "%s is in the same IOMMU group", other);
}

static bool is_refused_by(const char *path, const char *bridge)
{
	return plu_is_refused(plu_at(path), "the ACS controls of %s do not isolate it",
			      bridge);
}

static void set_controls(const char *bdf, unsigned int controls)
{
	unsigned int pos = plu_ext_capability(bdf, PCI_EXT_CAP_ID_ACS);

	if (!pos)
		plu_skip("%s has no ACS", bdf);
	plu_config_write(bdf, pos + PCI_ACS_CTRL, 2, controls);
}

/* After the groups were made, controls change that they depend on. */
static void without_controls(void)
{
	const char *port = bridge_above(BEHIND_PORT, 0);
	bool ok = true;

	for (size_t i = 0; i < ARRAY_SIZE(isolating); i++) {
		set_controls(port, ISOLATING & ~isolating[i]);
		ok &= is_refused_by(BEHIND_PORT, port);
	}
	plu_ok(ok, "it is not when one of the port's ACS controls is off");
	set_controls(port, ISOLATING);
	plu_ok(is_accepted(BEHIND_PORT), "it is when all are on");
}

/* Nothing is there, but what is plugged in there would be in the device's group. */
static void with_alias(void)
{
	char parameters[64];
	int ret;

	snprintf(parameters, sizeof(parameters), "device=%s devfn=0xe8",
		 plu_at(ON_ROOT_BUS)->bdf);
	ret = plu_load_module("external/" ALIAS_MODULE, parameters);
	plu_ok(!ret && plu_is_refused(plu_at(ON_ROOT_BUS),
				      "it also has the requester ID 0x00e8"),
	       "it is not when it has another requester ID as well");
	plu_gives(plu_unload_module(ALIAS_MODULE), 0, "it has its own again");
}

static void with_iommu(void)
{
	int session;

	plu_find_devices(NR_DEVICES);
	plu_ok(plu_exists(plu_sysfs(plu_at(ON_ROOT_BUS), "iommu_group")),
	       "there is an IOMMU");

	plu_ok(is_accepted(ON_ROOT_BUS), "a device on the root bus is accepted");
	with_alias();
	plu_ok(is_accepted(BEHIND_PORT), "one behind a root port is accepted");
	without_controls();
	plu_ok(is_accepted(BEHIND_PORT_0) && is_accepted(BEHIND_PORT_1),
	       "so are those behind root ports that are functions of one device");

	plu_ok(is_refused_with(BEHIND_SWITCH, bridge_above(BEHIND_SWITCH, 0)),
	       "one behind a switch without ACS is not");
	plu_ok(is_refused_with(BEHIND_BRIDGE, bridge_above(BEHIND_BRIDGE, 0)),
	       "nor is one behind a bridge to conventional PCI");
	plu_ok(is_refused_with(FUNCTION_0, plu_at(FUNCTION_1)->bdf) &&
	       is_refused_with(FUNCTION_1, plu_at(FUNCTION_0)->bdf),
	       "nor are functions of one device without ACS");
	plu_ok(is_refused_by(LONE_FUNCTION, plu_at(LONE_FUNCTION)->bdf),
	       "nor is a function that is the only one up to now");
	plu_check("nothing is preserved, and what was refused has left nothing behind");

	session = plu_session(SESSION);
	plu_preserve(session, plu_at(ON_ROOT_BUS));
	plu_preserve(session, plu_at(BEHIND_PORT));
	plu_check("two devices are outgoing");
}

static void finish_both(void)
{
	int session = plu_retrieve_session(SESSION);
	struct plu_device *d;

	plu_retrieve(session, plu_at(ON_ROOT_BUS));
	plu_retrieve(session, plu_at(BEHIND_PORT));
	plu_finish(session);
	plu_close_session(session);
	for (d = plu.dev; d < plu_end(); d++) {
		close(d->fd);
		d->fd = -1;
	}
}

/* The command line lets the ports' ACS redirect nothing, before groups are made. */
static void without_redirection(void)
{
	int session;

	plu_take_over();
	plu_check("the devices are incoming");
	finish_both();

	plu_ok(is_accepted(ON_ROOT_BUS), "the device on the root bus is accepted");
	plu_ok(is_accepted(BEHIND_PORT),
	       "so is the one behind a root port, which was incoming");
	plu_ok(is_refused_with(BEHIND_PORT_0, bridge_above(BEHIND_PORT_0, 0)) &&
	       is_refused_with(BEHIND_PORT_1, bridge_above(BEHIND_PORT_1, 0)),
	       "those behind other ports are not");

	/* That comes too late for a group that is made. */
	set_controls(bridge_above(BEHIND_PORT_0, 0), ISOLATING);
	set_controls(bridge_above(BEHIND_PORT_1, 0), ISOLATING);
	plu_ok(is_refused_with(BEHIND_PORT_0, plu_at(BEHIND_PORT_1)->bdf) &&
	       is_refused_with(BEHIND_PORT_1, plu_at(BEHIND_PORT_0)->bdf),
	       "nor when the ports' ACS controls are switched on then");

	session = plu_session(SESSION);
	plu_preserve(session, plu_at(ON_ROOT_BUS));
	plu_preserve(session, plu_at(BEHIND_PORT));
	plu_check("two devices are outgoing");
}

static void without_iommu(void)
{
	struct plu_device *d;
	bool ok = true;

	plu_take_over();
	plu_check("the devices are incoming");
	finish_both();
	plu_ok(!plu_exists(plu_sysfs(plu_at(ON_ROOT_BUS), "iommu_group")),
	       "there is no IOMMU");

	set_controls(bridge_above(BEHIND_PORT, 0), 0);
	for (d = plu.dev; d < plu_end(); d++)
		ok &= is_accepted(d->path);
	plu_ok(ok, "every device is accepted");
	plu_check("nothing is preserved");
}

static const struct plu_test test = {
	.name = "iommu_group",
	.qemu = topology,
	.stage = {
		{ .run = with_iommu, .plan = 14, .cmdline = "intel_iommu=on" },
		{ .run = without_redirection, .plan = 6,
		  .cmdline = "intel_iommu=on pci=disable_acs_redir=pci:1b36:000c" },
		{ .run = without_iommu, .plan = 4, .cmdline = "intel_iommu=off" },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
