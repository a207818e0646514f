// SPDX-License-Identifier: GPL-2.0
/*
 * A kernel that was handed nothing does to PCI devices what an unpatched one does: at boot,
 * when devices are plugged in and out, removed, found again and reset, and when the machine
 * is switched off. This is what is done to them; scripts/like-unpatched.sh boots kernels
 * with this, has QEMU write down all that they write to config space, and compares that.
 *
 * So no driver is loaded, nor anything else that an unpatched kernel has not.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <linux/pci_regs.h>

#include "plu.h"

static const char *topology(void)
{
	/* The ports' own way to be plugged, not ACPI's */
	return "-global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off\n"
		"-device intel-iommu\n"
		/* A function with ARI, and one without beside it */
		"-device nvme-subsys,id=s1\n"
		"-device pcie-root-port,id=rp1,chassis=1,slot=1,addr=4\n"
		"-device nvme,bus=rp1,addr=0.0,multifunction=on,subsys=s1,serial=1," PLU_NVME_VFS
		"\n"
		"-device nvme,bus=rp1,addr=0.1,serial=2\n"
		/* Functions without */
		"-device pcie-root-port,id=rp2,chassis=2,slot=2,addr=5\n"
		"-device qemu-xhci,bus=rp2,addr=0.0,multifunction=on\n"
		"-device e1000e,bus=rp2,addr=0.1\n"
		"-device edu,bus=rp2,addr=0.2\n"
		/* A switch, with an empty slot */
		"-device pcie-root-port,id=rp3,chassis=3,slot=3,addr=6\n"
		"-device x3130-upstream,id=up,bus=rp3\n"
		"-device xio3130-downstream,id=dn1,bus=up,chassis=11,slot=11\n"
		"-device edu,bus=dn1\n"
		"-device xio3130-downstream,id=dn2,bus=up,chassis=12,slot=12\n"
		"-device e1000e,bus=dn2\n"
		"-device xio3130-downstream,id=dn3,bus=up,chassis=13,slot=13\n"
		/* Ports with nothing behind, with room for more buses and without */
		"-device pcie-root-port,id=roomy,chassis=4,slot=4,addr=7,bus-reserve=4\n"
		"-device pcie-root-port,id=full,chassis=5,slot=5,addr=8\n"
		/* Conventional buses */
		"-device pcie-pci-bridge,id=pb,addr=9\n"
		"-device pci-testdev,bus=pb,addr=1\n"
		"-device pci-bridge,id=pb2,bus=pb,chassis_nr=21,addr=2\n"
		"-device edu,bus=pb2,addr=1\n"
		/* What is on the root bus, and another one */
		"-device ich9-usb-uhci1,addr=1d.0,multifunction=on\n"
		"-device ich9-usb-ehci1,addr=1d.7\n"
		"-device edu,addr=3\n"
		"-device pxb-pcie,id=pxb,bus_nr=0x80,addr=0xa\n"
		"-device pcie-root-port,id=rp6,bus=pxb,chassis=6,slot=6\n"
		"-device edu,bus=rp6\n"
		"-device pcie-root-port,id=rp7,chassis=7,slot=7,addr=0xb\n"
		"-device? igb,bus=rp7";
}

#define ROOMY		"0000:00:07.0"
#define FULL		"0000:00:08.0"
#define BESIDE		"0000:00/05.0/00.2"
#define BEHIND_SWITCH	"0000:00/06.0/00.0/00.0/00.0"
#define CONVENTIONAL	"0000:00/09.0/01.0"

static unsigned int secondary(const char *bdf)
{
	return plu_bus_numbers(bdf) >> 8 & 0xff;
}

static bool is_there(void *d)
{
	return plu_exists(plu_sysfs(d, "config"));
}

static bool has_numbers(void *d)
{
	return is_there(d) && secondary(((struct plu_device *)d)->bdf);
}

static bool is_refused(void *d)
{
	char message[96];

	snprintf(message, sizeof(message), "%s: No bus number available for hot-added bridge",
		 ((struct plu_device *)d)->bdf);

	return plu_says_once(message);
}

static void plug_in(const char *device)
{
	const char *answer = plu_monitor("device_add %s", device);

	if (*answer)
		plu_bail("QEMU does not plug in %s: %s", device, answer);
}

static void scan_again(void)
{
	if (plu_write_file("/sys/bus/pci/rescan", "1\n"))
		plu_bail("buses cannot be scanned again");
}

/* With something behind it, which is found when buses are scanned again */
static void plug_in_bridges(void)
{
	struct plu_device bridge = {};
	bool is_assigned;
	char pci[32];

	snprintf(bridge.bdf, sizeof(bridge.bdf), "0000:%02x:00.0", secondary(ROOMY));
	plug_in("pcie-pci-bridge,id=new1,bus=roomy");
	plu_ok(plu_wait_for(has_numbers, &bridge), "a bridge plugged in gets bus numbers");
	plug_in("edu,bus=new1,addr=1");
	scan_again();

	snprintf(bridge.bdf, sizeof(bridge.bdf), "0000:%02x:00.0", secondary(FULL));
	plug_in("pcie-pci-bridge,id=new2,bus=full");
	/* There are some where the kernel has assigned all of them. */
	is_assigned = plu_cmdline("pci", pci, sizeof(pci));
	plu_ok(plu_wait_for(is_assigned ? has_numbers : is_refused, &bridge),
	       "so does one where there are any, and no other");
	scan_again();
}

static void remove_and_find(void)
{
	struct plu_device *d;
	bool ok = true;

	for (d = plu.dev; d < plu_end(); d++) {
		ok &= !plu_write_file(plu_sysfs(d, "remove"), "0\n") && is_there(d);
		ok &= !plu_write_file(plu_sysfs(d, "remove"), "1\n") && !is_there(d);
	}
	scan_again();
	plu_ok(ok, "devices are removed");
	plu_gives(plu_remove_bridge(plu_at(BESIDE)), 0, "so is a port, with what is behind it");
	plu_gives(plu_remove(plu_upstream(plu_at(BEHIND_SWITCH), 2)), 0, "and a switch");
	scan_again();
	scan_again();
}

static void use_slot(void)
{
	struct plu_device *d = plu_at(BEHIND_SWITCH), *port = plu_upstream(d, 0);

	plu_switch_off(port);
	plu_ok(plu_wait_until_empty(port), "a slot is switched off");
	plug_in("edu,bus=dn1");
	plu_ok(plu_wait_for(is_there, d), "something is plugged in there");
	scan_again();
}

static void reset_bridge(void)
{
	struct plu_device *d = plu_upstream(plu_at(CONVENTIONAL), 0);

	plu_gives(plu_write_file(plu_sysfs(d, "reset"), "0\n"), -EINVAL,
		  "a reset takes no 0");
	plu_gives(plu_write_file(plu_sysfs(d, "reset_subordinate"), "0\n"), 0,
		  "that of what is below a bridge does, for nothing");
	plu_gives(plu_write_file(plu_sysfs(d, "reset_subordinate"), "1\n"), 0,
		  "what is below a bridge is reset");
	plu_gives(plu_write_file(plu_sysfs(d, "reset"), "1\n"), 0, "and the bridge itself");
}

static void do_all(void)
{
	/* Addresses are others where a scan assigns all bus numbers anew. */
	plu_find_devices(6);
	plug_in_bridges();
	plu_find_devices(6);
	remove_and_find();
	plu_find_devices(6);
	use_slot();
	plu_find_devices(6);
	reset_bridge();
}

static const struct plu_test test = {
	.name = "like_unpatched",
	.qemu = topology,
	.foreign = true,
	.stage = {
		{ .run = do_all, .plan = 11 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
