// SPDX-License-Identifier: GPL-2.0
/*
 * Hand-overs with good records of what is not there: of a device in a domain or a place
 * where there is none, or that was pulled out before the jump, of which a kernel writes none,
 * or with another in its place; of a bridge for a device, and the reverse. The record says
 * what is incoming: a device that has none is ordinary, and its file cannot be retrieved; one
 * that has another's is incoming, and has to be finished. The hand-over ends all the same.
 */

#include "plu.h"

static const char *topology(void)
{
	/* The port's own way to be plugged, not ACPI's */
	return "-global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off\n"
		"-device edu,addr=3\n"
		"-device pcie-root-port,id=rp1,chassis=1,slot=1,addr=4\n"
		"-device edu,bus=rp1\n"
		"-device pcie-root-port,id=rp2,chassis=2,slot=2,addr=5\n"
		"-device edu,bus=rp2";
}

#define DEVICE		"0000:00/03.0"
#define PORT		"0000:00/04.0"
#define PLUGGED		"0000:00/04.0/00.0"
/* Which is not preserved, and neither is the bridge above it. */
#define OTHER_PORT	"0000:00/05.0"
#define OTHER		"0000:00/05.0/00.0"

/* Where nothing is. */
#define NOT_A_DOMAIN	"0001:00:03.0"
#define NOT_A_PLACE	"0000:00:1e.0"

static void move_record(struct plu_handover *h, const char *path, const char *bdf)
{
	plu_set_address(plu_record_of(h, plu_at(path)), bdf);
}

static void be_in_no_domain(struct plu_handover *h)
{
	move_record(h, DEVICE, NOT_A_DOMAIN);
}

static void believe_in_no_domain(void)
{
	plu_at(DEVICE)->incoming = PLU_ORDINARY;
	plu_add_absent("0001:00/03.0", NOT_A_DOMAIN, false)->incoming = PLU_INCOMING;
}

static void be_in_no_place(struct plu_handover *h)
{
	move_record(h, DEVICE, NOT_A_PLACE);
}

static void believe_in_no_place(void)
{
	plu_at(DEVICE)->incoming = PLU_ORDINARY;
	plu_add_absent("0000:00/1e.0", NOT_A_PLACE, false)->incoming = PLU_INCOMING;
}

static void be_another(struct plu_handover *h)
{
	move_record(h, DEVICE, plu_at(OTHER)->bdf);
}

static void believe_another(void)
{
	plu_at(DEVICE)->incoming = PLU_ORDINARY;
	plu_at(OTHER)->incoming = PLU_INCOMING;
	plu_at(OTHER_PORT)->unrecorded = true;
}

static void be_a_device(struct plu_handover *h)
{
	move_record(h, PORT, plu_at(OTHER)->bdf);
}

static void believe_a_device(void)
{
	plu_at(PORT)->unrecorded = true;
	plu_at(OTHER)->incoming = PLU_INCOMING;
	plu_at(OTHER_PORT)->unrecorded = true;
}

static void be_a_bridge(struct plu_handover *h)
{
	move_record(h, DEVICE, plu_at(OTHER_PORT)->bdf);
}

static void believe_a_bridge(void)
{
	plu_at(DEVICE)->incoming = PLU_ORDINARY;
	plu_at(OTHER_PORT)->surplus = 1;
}

static void pull_out(void)
{
	plu_pull_out(plu_at(PORT));
	if (!plu_wait_until_empty(plu_at(PORT)))
		plu_bail("the device cannot be pulled out");
}

static void exchange(void)
{
	pull_out();
	if (!plu_plug_in(plu_at(PLUGGED), "pci-testdev,bus=rp1"))
		plu_bail("no other device can be plugged in");
}

/* As if it were there: with the bridge that it was behind. */
static void be_there(struct plu_handover *h)
{
	plu_add_record(h, plu_at(PORT));
	plu_add_record(h, plu_at(PLUGGED));
}

static void believe_there(void)
{
	plu_at(PLUGGED)->incoming = PLU_INCOMING;
}

static const struct plu_lie lie[] = {
	{ "a device in no domain", be_in_no_domain, believe_in_no_domain },
	{ "a device in no place", be_in_no_place, believe_in_no_place },
	{ "a device in the place of another", be_another, believe_another },
	{ "a bridge that is a device", be_a_device, believe_a_device },
	{ "a device that is a bridge", be_a_bridge, believe_a_bridge },
	{ "another device in the place of one", be_there, believe_there, exchange },
	{ "a device that is gone", be_there, believe_there, pull_out },
	{ }
};

static const struct plu_lies lies = {
	.name = "damaged_devices",
	.qemu = topology,
	.left_alone = OTHER,
	.lie = lie,
};

int main(int argc, char *argv[])
{
	return plu_lies_main(argc, argv, &lies);
}
