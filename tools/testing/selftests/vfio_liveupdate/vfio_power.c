// SPDX-License-Identifier: GPL-2.0
/*
 * vfio-pci lets a device sleep while nobody has it open; but not one that is handed over,
 * as it may be at work, until its user has finished it and closes it.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vlu.h"

static const char *topology(void)
{
	return "-device intel-iommu\n"
		"-device pcie-root-port,id=rp1,chassis=1,addr=4\n"
		"-device e1000e,bus=rp1,romfile=\n"
		"-device pcie-root-port,id=rp2,chassis=2,addr=5\n"
		"-device e1000e,bus=rp2,romfile=";
}

static const struct plu_id e1000e[] = {
	{ 0x8086, 0x10d3 },
	{ }
};

#define DEVICE		(&plu.dev[0])
#define OTHER		(&plu.dev[1])
#define SESSION		"vfio-power"

static bool is_in(const struct plu_device *d, const char *state)
{
	char is[16];

	if (plu_read_file(plu_sysfs(d, "power_state"), is, sizeof(is)) < 0)
		plu_bail("%s: no state of power", d->bdf);

	return !strncmp(is, state, strlen(state));
}

static bool is_asleep(void *d)
{
	return is_in(d, "D3hot");
}

static bool is_awake(void *d)
{
	return is_in(d, "D0");
}

/* By its user, not by the kernel */
static void put_to_sleep(struct vfio_pci_device *v, bool sleep)
{
	unsigned int control = plu_capability(DEVICE->bdf, PCI_CAP_ID_PM) + PCI_PM_CTRL;
	__u16 state = vfio_pci_config_readw(v, control) & ~PCI_PM_CTRL_STATE_MASK;

	vfio_pci_config_writew(v, control, state | (sleep ? 3 : 0));
}

static void refuse_asleep(struct vfio_pci_device *v)
{
	char message[96];

	snprintf(message, sizeof(message),
		 "%s: liveupdate: cannot be handed over while it is in a state of low power",
		 DEVICE->bdf);
	put_to_sleep(v, true);
	plu_ok(is_asleep(DEVICE), "its user can put it to sleep");
	plu_gives(plu_reboot(), -EBUSY, "it can't be handed over like that");
	plu_ok(plu_says_once(message), "and that is said");
	put_to_sleep(v, false);
	plu_ok(is_awake(DEVICE), "it can be woken");
}

static void kernel_a(void)
{
	struct vfio_pci_device *v;
	struct iommu *iommu;
	int session;

	vlu_load_driver(false);
	plu_find_devices(2);
	vlu_bind(DEVICE);
	plu_ok(plu_wait_for(is_asleep, DEVICE), "a device that nobody has open sleeps");
	iommu = iommu_init("iommufd");
	v = vlu_open(DEVICE, iommu);
	plu_ok(is_awake(DEVICE), "it is awake when it is opened");
	session = plu_session(SESSION);
	plu_preserve(session, DEVICE);
	plu_check("it is outgoing");
	plu_close_session(session);
	vfio_pci_device_cleanup(v);
	DEVICE->fd = -1;
	plu_ok(plu_wait_for(is_asleep, DEVICE), "it sleeps when it is unpreserved and closed");

	v = vlu_open(DEVICE, iommu);
	plu_preserve(plu_session(SESSION), DEVICE);
	refuse_asleep(v);
	plu_check("it is outgoing again");
}

static void kernel_b(void)
{
	struct vfio_pci_device *v;
	struct iommu *iommu;
	int session;

	vlu_load_driver(false);
	plu_take_over();
	iommu = iommu_init("iommufd");
	vlu_bind(DEVICE);
	vlu_bind(OTHER);
	/* It was bound later. */
	plu_ok(plu_wait_for(is_asleep, OTHER), "a device that was not handed over sleeps");
	plu_ok(is_awake(DEVICE), "one that was does not");
	plu_gives(plu_unbind(DEVICE), 0, "its driver can be unbound");
	vlu_bind(DEVICE);
	vfio_pci_device_cleanup(vlu_open(OTHER, iommu));
	plu_ok(plu_wait_for(is_asleep, OTHER) && is_awake(DEVICE), "nor does it when it is back");
	plu_check("it is incoming");
	session = plu_retrieve_session(SESSION);
	v = vlu_retrieve(session, DEVICE, iommu);
	plu_ok(is_awake(DEVICE), "nor when it is open");
	plu_finish(session);
	vfio_pci_device_cleanup(vlu_open(OTHER, iommu));
	plu_ok(plu_wait_for(is_asleep, OTHER) && is_awake(DEVICE), "nor when it is finished");
	vfio_pci_device_cleanup(v);
	DEVICE->fd = -1;
	plu_ok(plu_wait_for(is_asleep, DEVICE), "it sleeps when it is closed");
	v = vlu_open(DEVICE, iommu);
	plu_ok(is_awake(DEVICE), "it is awake when it is opened");
	vfio_pci_device_cleanup(v);
	DEVICE->fd = -1;
	plu_ok(plu_wait_for(is_asleep, DEVICE), "and sleeps again");
	plu_check("it is finished");
}

static const struct plu_test test = {
	.name = "vfio_power",
	.qemu = topology,
	.also = e1000e,
	.stage = {
		{ .run = kernel_a, .plan = 9, .cmdline = VLU_CMDLINE },
		{ .run = kernel_b, .plan = 11, .cmdline = VLU_CMDLINE },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
