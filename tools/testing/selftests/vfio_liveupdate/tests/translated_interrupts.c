// SPDX-License-Identifier: GPL-2.0
/*
 * A device goes on with its DMA through an IOMMU while the kernel is replaced. Meanwhile
 * another one interrupts, as it was set up for in the old kernel: that goes nowhere, as the
 * IOMMU finds nothing of it. Only QEMU can say so.
 */

#include "translated.h"

static struct controller usb = TRANSLATED_CONTROLLER;

#define OTHER_BDF	"0000:01:00.0"

static const struct plu_id ids[] = {
	{ 0x8086, 0x2934 },
	{ }
};

static const char *topology(void)
{
	return TRANSLATED_QEMU(",intremap=on",
		"\n-device pcie-root-port,id=rp1,chassis=1,addr=7\n"
		"-device edu,bus=rp1");
}

#define SESSION		"translated_interrupts"

static struct plu_device *other_device(void)
{
	struct plu_device *d = plu_find(OTHER_BDF);

	if (!d)
		plu_bail("there is no device that could interrupt");

	return d;
}

static void kernel_a(void)
{
	struct vfio_pci_device *v;
	int session;

	vlu_load_driver(false);
	plu_find_devices(2);
	prepare_controller(&usb, iommu_init("iommufd"));
	vlu_bind(other_device());
	v = vlu_open(other_device(), iommu_init("iommufd"));
	vfio_pci_cmd_set(v, PCI_COMMAND_MASTER);
	vfio_pci_msi_enable(v, 0, 1);
	plu_ok(vlu_edu_interrupts(v, v->msi_eventfds[0], false), "it interrupts");

	session = plu_session(SESSION);
	plu_gives(preserve_memory(session, &usb), 0, "memory is preserved");
	plu_preserve(session, controller_device(&usb));
	plu_gives(plu_load_module("external/vfio_interrupts_late", "device=" OTHER_BDF), 0,
		  "it is to do so in the jump");
}

static void start(void)
{
	plu_announce_of_qemu("detected non-present IRTE");
	plu_announce_possible("DMAR: DRHD: handling fault status");
	plu_announce_possible("DMAR: [DMA Read");
	/* Later versions of QEMU tell the guest as well. */
	plu_announce_possible("DMAR: [INTR-REMAP]");
	start_controller(&usb);
}

static void kernel_b(void)
{
	struct vfio_pci_device *v;
	struct iommu *iommu;
	int session;

	vlu_load_driver(false);
	plu_take_over();
	vlu_bind(controller_device(&usb));
	session = plu_retrieve_session(SESSION);
	iommu = iommu_init("iommufd");
	retrieve_memory(session, &usb, iommu);
	lost_nothing_over_jump(&usb);
	retrieve_controller(session, &usb, iommu);
	plu_gives(vlu_try_finish(session), 0, "the session is finished");

	vlu_bind(other_device());
	v = vlu_open(other_device(), iommu_init("iommufd"));
	vfio_pci_cmd_set(v, PCI_COMMAND_MASTER);
	vfio_pci_msi_enable(v, 0, 1);
	plu_ok(vlu_edu_interrupts(v, v->msi_eventfds[0], false), "it interrupts again");
}

static const struct plu_test test = {
	.name = "translated_interrupts",
	.qemu = topology,
	.also = ids,
	.stage = {
		{ .run = kernel_a, .plan = 3, .cmdline = VLU_CMDLINE, .before_jump = start },
		{ .run = kernel_b, .plan = 3, .cmdline = VLU_CMDLINE },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
