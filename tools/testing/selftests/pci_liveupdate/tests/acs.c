// SPDX-License-Identifier: GPL-2.0
/*
 * The ACS controls of the bridges above a preserved device stay what they are, also
 * against the command line and against what an IOMMU wants, as long as the device is
 * there. Those of other bridges become what the kernel is told.
 *
 * Where ACS is not what the specification says but needs a quirk, nothing of this can
 * be promised, and the device cannot be preserved.
 */

#include <errno.h>
#include <stdio.h>

#include <linux/pci_regs.h>

#include "plu.h"

static const char *topology(void)
{
	return "-device intel-iommu\n"
		/* The one whose device is preserved, in each kernel */
		"-device pcie-root-port,id=rp1,chassis=1,addr=4 -device edu,bus=rp1\n"
		/* Not preserved */
		"-device pcie-root-port,id=rp2,chassis=2,addr=5 -device edu,bus=rp2\n"
		/* Preserved, but it needs a quirk in the second kernel */
		"-device pcie-root-port,id=rp3,chassis=3,addr=6 -device edu,bus=rp3\n"
		/* Preserved, below a switch, on another root bus */
		"-device pxb-pcie,id=pxb,bus_nr=0x40\n"
		"-device pcie-root-port,id=rp4,bus=pxb,chassis=4\n"
		"-device x3130-upstream,id=up,bus=rp4\n"
		"-device xio3130-downstream,id=dn,bus=up,chassis=5\n"
		"-device edu,bus=dn";
}

#define KEPT		"0000:00/04.0/00.0"
#define OTHER		"0000:00/05.0/00.0"
#define QUIRKY		"0000:00/06.0/00.0"
#define FAR		"0000:40/00.0/00.0/00.0/00.0"

/* Of KEPT and FAR, which each kernel hands on, and of QUIRKY */
#define SESSION		"acs"
#define SESSION_QUIRKY	"acs-quirky"

/* What a control register is set to by hand, and what the kernel makes of it if it may. */
#define BY_HAND		(PCI_ACS_TB | PCI_ACS_CR)
#define BY_HAND_FAR	(PCI_ACS_RR | PCI_ACS_DT)
#define BY_HAND_QUIRKY	(PCI_ACS_SV | PCI_ACS_CR)
#define CONFIGURED	(PCI_ACS_SV | PCI_ACS_RR | PCI_ACS_UF | PCI_ACS_DT)
#define NO_REDIRECTION	(CONFIGURED & ~(PCI_ACS_RR | PCI_ACS_CR))
#define FOR_IOMMU	(PCI_ACS_SV | PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_UF)

/* Vendor and device ID of an Intel root port that does it in a way of its own */
#define IDS_OF_QUIRK	0x3b428086

/* And of a port whose source validation is broken */
#define IDS_OF_BROKEN	0x80b5111d

#define NO_IOMMU	"intel_iommu=off " PLU_NO_ACPI_IRQ

/* On the command line: QEMU's root ports, and this one */
#define ALL		"pci:1b36:000c"
#define QUIRK		"pci:8086:3b42"

static const char *root_port(const char *path)
{
	const struct plu_device *d = plu_at(path);

	return plu_bridge_above(d, plu_level(d) - 1);
}

static unsigned int control_register(const char *bdf)
{
	unsigned int pos = plu_ext_capability(bdf, PCI_EXT_CAP_ID_ACS);

	if (!pos)
		plu_skip("%s has no ACS", bdf);

	return pos + PCI_ACS_CTRL;
}

static void set_controls(const char *path, unsigned int controls)
{
	const char *bdf = root_port(path);

	plu_config_write(bdf, control_register(bdf), 2, controls);
}

static bool controls_are(const char *path, unsigned int expected)
{
	const char *bdf = root_port(path);
	unsigned int is = plu_config_read(bdf, control_register(bdf), 2);

	if (is != expected)
		plu_say("%s: its ACS controls are 0x%02x, not 0x%02x", bdf, is, expected);

	return is == expected;
}

/* From now on the port above is of another kind. Whoever finds it sees that. */
static int let_port_be(const char *path, unsigned int ids)
{
	char parameters[64];

	snprintf(parameters, sizeof(parameters), "device=%s offset=%u size=4 value=%u",
		 root_port(path), PCI_VENDOR_ID, ids);

	return plu_load_module("external/pci_liveupdate_fake", parameters);
}

static void refuse_quirk(void)
{
	struct plu_device *d = plu_at(QUIRKY);
	char message[128];

	plu_gives(plu_remove_bridge(d), 0, "a port is removed");
	plu_gives(let_port_be(QUIRKY, IDS_OF_QUIRK), 0, "it is made one that needs a quirk");
	plu_rescan();
	plu_gives(plu_command(d, "preserve"), -EINVAL, "a device below cannot be preserved");
	snprintf(message, sizeof(message),
		 "%s: liveupdate: cannot be preserved: %s needs a device-specific ACS quirk",
		 d->bdf, root_port(QUIRKY));
	plu_ok(plu_says_once(message), "the kernel says why");
	plu_check("nothing else has changed");

	plu_gives(plu_remove_bridge(d), 0, "the port is removed again");
	plu_gives(plu_unload_module("pci_liveupdate_fake"), 0, "it is made what it is");
	plu_rescan();
}

/* Without any help of the kernel that comes. */
static void preserve(void)
{
	int session;

	plu_find_devices(4);

	session = plu_session(SESSION);
	plu_preserve(session, plu_at(KEPT));
	plu_preserve(session, plu_at(FAR));
	refuse_quirk();
	plu_preserve(plu_session(SESSION_QUIRKY), plu_at(QUIRKY));
	plu_check("without the quirk it can");

	set_controls(KEPT, BY_HAND);
	set_controls(OTHER, BY_HAND);
	set_controls(QUIRKY, BY_HAND_QUIRKY);
	set_controls(FAR, BY_HAND_FAR);
	plu_ok(controls_are(KEPT, BY_HAND) && controls_are(OTHER, BY_HAND) &&
	       controls_are(QUIRKY, BY_HAND_QUIRKY) && controls_are(FAR, BY_HAND_FAR),
	       "the ports have their ACS controls");
}

/* Retrieve what was handed over, and hand it on. */
static void hand_on(void)
{
	int incoming = plu_retrieve_session(SESSION);
	int outgoing;

	plu_retrieve(incoming, plu_at(KEPT));
	plu_retrieve(incoming, plu_at(FAR));
	plu_finish(incoming);
	plu_close_session(incoming);
	outgoing = plu_session(SESSION);
	plu_preserve(outgoing, plu_at(KEPT));
	plu_preserve(outgoing, plu_at(FAR));
	plu_check("the devices are finished, and outgoing");
	plu_ok(controls_are(KEPT, BY_HAND) && controls_are(FAR, BY_HAND_FAR),
	       "the controls above them are what they were");
}

static void quirk_in_new_kernel(void)
{
	struct plu_device *d = plu_at(QUIRKY);
	const char *port = root_port(QUIRKY);
	char message[128];
	int session;

	plu_gives(plu_remove_bridge(d), 0, "an incoming port is removed");
	plu_rescan();
	plu_ok(controls_are(QUIRKY, BY_HAND_QUIRKY), "its controls stay when it is found again");

	plu_gives(plu_remove_bridge(d), 0, "it is removed again");
	plu_gives(let_port_be(QUIRKY, IDS_OF_BROKEN), 0, "it is made one of which one is broken");
	plu_rescan();
	plu_ok(controls_are(QUIRKY, BY_HAND_QUIRKY & ~PCI_ACS_SV),
	       "that one is not switched on again");
	plu_gives(plu_unload_module("pci_liveupdate_fake"), 0, "it is made what it is");

	plu_gives(plu_remove_bridge(d), 0, "it is removed again");
	plu_gives(let_port_be(QUIRKY, IDS_OF_QUIRK), 0, "it is made one that needs a quirk");
	plu_rescan();
	plu_ok(controls_are(QUIRKY, CONFIGURED),
	       "its controls are what the command line says, as those of any port");
	snprintf(message, sizeof(message),
		 "%s: liveupdate: needs a device-specific ACS quirk: its ACS controls are set anew",
		 port);
	plu_ok(plu_says_once(message), "the kernel warns of that");

	session = plu_retrieve_session(SESSION_QUIRKY);
	plu_retrieve(session, d);
	plu_finish(session);
	plu_close_session(session);
	plu_check("its device is finished");
}

static void config_acs(void)
{
	plu_take_over();
	plu_check("the devices are incoming");
	plu_ok(controls_are(KEPT, BY_HAND) && controls_are(QUIRKY, BY_HAND_QUIRKY) &&
	       controls_are(FAR, BY_HAND_FAR),
	       "the controls above them are what they were, against the command line");
	plu_ok(controls_are(OTHER, CONFIGURED), "those of another port are what it says");

	quirk_in_new_kernel();
	hand_on();
}

static void disable_redirection(void)
{
	plu_take_over();
	plu_check("the devices are incoming");
	plu_ok(controls_are(KEPT, BY_HAND) && controls_are(FAR, BY_HAND_FAR),
	       "the controls above them are what they were, against the command line");
	plu_ok(controls_are(OTHER, NO_REDIRECTION), "those of another port are what it says");
	hand_on();
}

static void with_iommu(void)
{
	int session;

	plu_take_over();
	plu_check("the devices are incoming");
	plu_ok(plu_exists(plu_sysfs(plu_at(KEPT), "iommu_group")), "there is an IOMMU");
	plu_ok(controls_are(KEPT, BY_HAND) && controls_are(FAR, BY_HAND_FAR),
	       "the controls above them are what they were, against what it wants");
	plu_ok(controls_are(OTHER, NO_REDIRECTION | FOR_IOMMU),
	       "those of another port are what it wants");

	session = plu_retrieve_session(SESSION);
	plu_retrieve(session, plu_at(KEPT));
	plu_retrieve(session, plu_at(FAR));
	plu_finish(session);
	plu_check("the devices are finished");
	plu_ok(controls_are(KEPT, BY_HAND) && controls_are(FAR, BY_HAND_FAR),
	       "the controls above them are what they were");

	plu_gives(plu_remove_bridge(plu_at(KEPT)), 0, "the port is removed");
	plu_rescan();
	plu_ok(controls_are(KEPT, BY_HAND | FOR_IOMMU),
	       "when it is found again, its controls become what is wanted");
}

static const struct plu_test test = {
	.name = "acs",
	.qemu = topology,
	.stage = {
		{ .run = preserve, .plan = 9, .cmdline = NO_IOMMU },
		{ .run = config_acs, .plan = 16,
		  .cmdline = NO_IOMMU " pci=config_acs=1010101@" ALL ";1010101@" QUIRK },
		{ .run = disable_redirection, .plan = 5,
		  .cmdline = NO_IOMMU " pci=disable_acs_redir=" ALL },
		{ .run = with_iommu, .plan = 8, .cmdline = "intel_iommu=on" },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
