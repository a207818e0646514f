// SPDX-License-Identifier: GPL-2.0
/*
 * ARI forwarding of a bridge above a preserved device stays on or off, as it is, also
 * against pci=noari and against what the kernel would choose, so that the functions
 * above 7 stay where they are. That of another bridge becomes what the kernel wants.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include "plu.h"

#define NVME	"serial=1"
#define VFS	",max_ioqpairs=26,msix_qsize=14," \
		"sriov_max_vfs=12,sriov_vq_flexible=24,sriov_vi_flexible=12"

static const char *topology(void)
{
	return "-device nvme-subsys,id=s1 -device nvme-subsys,id=s2\n"
		"-device nvme-subsys,id=s3 -device nvme-subsys,id=s4\n"
		/* Devices with ARI: the first two with forwarding, the others without */
		"-device pcie-root-port,id=rp1,chassis=1,addr=4\n"
		"-device nvme,bus=rp1,subsys=s1," NVME VFS "\n"
		"-device pcie-root-port,id=rp2,chassis=2,addr=5\n"
		"-device nvme,bus=rp2,subsys=s2," NVME VFS "\n"
		"-device pcie-root-port,id=rp3,chassis=3,addr=6\n"
		"-device nvme,bus=rp3,subsys=s3," NVME VFS "\n"
		"-device pcie-root-port,id=rp4,chassis=4,addr=7\n"
		"-device nvme,bus=rp4,subsys=s4," NVME VFS "\n"
		/* Devices without ARI, but with forwarding */
		"-device pcie-root-port,id=rp5,chassis=5,addr=8\n"
		"-device nvme,bus=rp5," NVME "\n"
		"-device pcie-root-port,id=rp6,chassis=6,addr=9\n"
		"-device nvme,bus=rp6," NVME;
}

static const struct plu_id nvme[] = {
	{ 0x1b36, 0x0010 },
	{ }
};

#define ON_KEPT		"0000:00/04.0/00.0"
#define ON_OTHER	"0000:00/05.0/00.0"
#define OFF_KEPT	"0000:00/06.0/00.0"
#define OFF_OTHER	"0000:00/07.0/00.0"
#define WITHOUT_KEPT	"0000:00/08.0/00.0"
#define WITHOUT_OTHER	"0000:00/09.0/00.0"

#define SESSION		"ari"
#define NR_VFS		12

static unsigned int device_control2(const char *bdf)
{
	return plu_capability(bdf, PCI_CAP_ID_EXP) + PCI_EXP_DEVCTL2;
}

static void set_forwarding(const char *path, bool on)
{
	const char *bdf = plu_bridge_above(plu_at(path), 0);
	__u32 control = plu_config_read(bdf, device_control2(bdf), 2);

	control &= ~PCI_EXP_DEVCTL2_ARI;
	plu_config_write(bdf, device_control2(bdf), 2,
			 control | (on ? PCI_EXP_DEVCTL2_ARI : 0));
}

/* Is forwarding on in the bridge above, and does the kernel know? */
static bool is_forwarding(const char *path, bool on)
{
	const char *bdf = plu_bridge_above(plu_at(path), 0);
	bool is = plu_config_read(bdf, device_control2(bdf), 2) & PCI_EXP_DEVCTL2_ARI;
	char enabled[8];

	if (plu_read_file(plu_sysfs(plu_at(path), "ari_enabled"), enabled,
			  sizeof(enabled)) < 0)
		plu_bail("%s: no ari_enabled", bdf);
	if (is != on || (*enabled == '1') != on)
		plu_say("%s: forwarding is %s, the kernel takes it to be %s", bdf,
			is ? "on" : "off", *enabled == '1' ? "on" : "off");

	return is == on && (*enabled == '1') == on;
}

/* With 12 virtual functions, are the last of them reached as functions above 7? */
static bool has_high_functions(const char *path)
{
	const struct plu_device *d = plu_at(path);
	struct plu_device last = {};
	unsigned int sriov = plu_ext_capability(d->bdf, PCI_EXT_CAP_ID_SRIOV);
	char parameters[64];
	bool high;

	snprintf(parameters, sizeof(parameters), "device=%s number=%u", d->bdf, NR_VFS);
	if (!sriov || plu_load_module("external/pci_liveupdate_sriov", parameters))
		plu_bail("%s: cannot enable virtual functions", d->bdf);

	/* The device is function 0, and what follows are functions 1 to 12. */
	high = plu_config_read(d->bdf, sriov + PCI_SRIOV_CTRL, 2) & PCI_SRIOV_CTRL_ARI;
	snprintf(last.bdf, sizeof(last.bdf), "%.*s%02x.%x",
		 (int)strlen("0000:00:"), d->bdf, NR_VFS / 8, NR_VFS % 8);
	if (!plu_exists(plu_sysfs(&last, "config")) ||
	    !plu_capability(last.bdf, PCI_CAP_ID_EXP))
		plu_bail("%s: there is no virtual function", last.bdf);
	if (plu_unload_module("pci_liveupdate_sriov"))
		plu_bail("%s: cannot disable virtual functions", d->bdf);

	return high;
}

static void take_devices(void)
{
	struct plu_device *d;

	for (d = plu.dev; d < plu_end(); d++)
		if (plu_driver_override(d->bdf, PLU_DRIVER))
			plu_bail("%s: cannot be bound", d->bdf);
}

static const char * const kept[] = { ON_KEPT, OFF_KEPT, WITHOUT_KEPT };

static void preserve_all(void)
{
	int session = plu_session(SESSION);

	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		plu_preserve(session, plu_at(kept[i]));
}

static void finish_all(void)
{
	int session = plu_retrieve_session(SESSION);
	struct plu_device *d;

	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		d = plu_at(kept[i]);
		plu_retrieve(session, d);
		close(d->fd);
		d->fd = -1;
	}
	plu_finish(session);
	plu_close_session(session);
}

static bool are_kept(void)
{
	bool on = is_forwarding(ON_KEPT, true);
	bool off = is_forwarding(OFF_KEPT, false);
	bool without = is_forwarding(WITHOUT_KEPT, true);

	return on && off && without;
}

static void kernel_a(void)
{
	plu_find_devices(6);
	take_devices();
	plu_ok(is_forwarding(ON_KEPT, true) && is_forwarding(ON_OTHER, true),
	       "devices with ARI are forwarded to");
	plu_ok(is_forwarding(WITHOUT_KEPT, false) && is_forwarding(WITHOUT_OTHER, false),
	       "those without are not");
	plu_ok(has_high_functions(ON_KEPT), "a device with ARI has functions above 7");

	set_forwarding(OFF_KEPT, false);
	set_forwarding(OFF_OTHER, false);
	set_forwarding(WITHOUT_KEPT, true);
	set_forwarding(WITHOUT_OTHER, true);
	preserve_all();
	plu_check("three devices are outgoing");
}

/* What the kernel would choose */
static void kernel_b(void)
{
	plu_take_over();
	take_devices();
	plu_check("the devices are incoming");
	plu_ok(are_kept(), "forwarding to them is what it was");
	plu_ok(is_forwarding(OFF_OTHER, true), "to another with ARI it is on, and was off");
	plu_ok(is_forwarding(WITHOUT_OTHER, false),
	       "to another without ARI it is off, and was on");

	plu_gives(plu_remove(plu_at(OFF_KEPT)), 0, "an incoming device is removed");
	plu_rescan();
	plu_gives(plu_driver_override(plu_at(OFF_KEPT)->bdf, PLU_DRIVER), 0,
		  "it is found again");
	plu_ok(are_kept(), "forwarding is what it was");

	finish_all();
	plu_ok(are_kept(), "as it is when the devices are finished");
	plu_gives(plu_remove(plu_at(OFF_KEPT)), 0, "a finished device is removed");
	plu_rescan();
	plu_gives(plu_driver_override(plu_at(OFF_KEPT)->bdf, PLU_DRIVER), 0,
		  "it is found again");
	plu_ok(is_forwarding(OFF_KEPT, true), "forwarding is on, as to the other");

	set_forwarding(OFF_KEPT, false);
	preserve_all();
	plu_check("the devices are outgoing again");
}

/* What the command line says */
static void kernel_c(void)
{
	plu_take_over();
	take_devices();
	plu_check("the devices are incoming");
	plu_ok(are_kept(), "forwarding to them is what it was");
	plu_ok(has_high_functions(ON_KEPT), "one has functions above 7");
	plu_ok(!has_high_functions(ON_OTHER), "another with ARI has none any more");

	finish_all();
	plu_check("the devices are finished");
	plu_ok(are_kept(), "forwarding to them is what it was");
}

static const struct plu_test test = {
	.name = "ari",
	.qemu = topology,
	.also = nvme,
	.stage = {
		{ .run = kernel_a, .plan = 4 },
		{ .run = kernel_b, .plan = 12 },
		{ .run = kernel_c, .plan = 6, .cmdline = "pci=noari" },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
