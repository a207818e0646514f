/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_KHO_ABI_VFIO_PCI_H
#define _LINUX_KHO_ABI_VFIO_PCI_H

#include <linux/build_bug.h>
#include <linux/stddef.h>
#include <linux/types.h>

/**
 * DOC: vfio-pci Live Update ABI
 *
 * What one kernel's vfio-pci tells the next one's about a preserved file.
 *
 * The file is found in a session of the Live Update Orchestrator by the name
 * %VFIO_PCI_LUO_COMPATIBLE. The orchestrator hands over the physical address of a
 * &struct vfio_pci_ser in memory allocated with kho_alloc_preserve(). The PCI core
 * hands over a record of the device of its own, see <linux/kho/abi/pci.h>.
 *
 * All integers are in the byte order of the machine. A change to the structure, or
 * to the meaning of a field, is a new %VFIO_PCI_SER_VERSION; one after which the
 * version can't be read any more where it is now, a new name.
 */

/* Name of the files in a session */
#define VFIO_PCI_LUO_COMPATIBLE	"vfio-pci-device"

/* Version of the format that this header describes */
#define VFIO_PCI_SER_VERSION	2

/* The device was not stopped: it may be doing DMA. */
#define VFIO_PCI_SER_RUNNING	0x1U

/* Its DMA is translated, by what <linux/kho/abi/iommu.h> tells of. */
#define VFIO_PCI_SER_TRANSLATED	0x2U

/* Registers that a user may have changed */
#define VFIO_PCI_SER_NR_REGISTERS	11

/**
 * struct vfio_pci_ser - A file of vfio-pci that a kernel preserved
 * @version:  %VFIO_PCI_SER_VERSION. Read before anything else, hence never moved
 *            or resized.
 * @flags:    %VFIO_PCI_SER_RUNNING, with it %VFIO_PCI_SER_TRANSLATED, or 0. Who finds
 *            another bit set can't read it.
 * @domain:   PCI segment of the device.
 * @bdf:      Bus, device and function number, as pci_dev_id() puts them together.
 * @vendor:   Vendor ID of the device.
 * @device:   Device ID: with @vendor, to notice another device at that address.
 * @reserved: 0
 * @registers: What was in these registers before the device's first user had it, each as
 *            wide as it is, 0 for one that the device lacks: command, cache line size,
 *            latency timer; PCI-X command; device control and device control 2 of the PCI
 *            Express capability; uncorrectable error mask and severity, correctable error
 *            mask, and capabilities and control of Advanced Error Reporting; control of
 *            Precision Time Measurement.
 */
struct vfio_pci_ser {
	u32 version;
	u32 flags;
	u32 domain;
	u16 bdf;
	u16 vendor;
	u16 device;
	u16 reserved;
	u32 registers[VFIO_PCI_SER_NR_REGISTERS];
} __packed;

static_assert(sizeof(struct vfio_pci_ser) == 64);
static_assert(offsetof(struct vfio_pci_ser, version) == 0);
static_assert(offsetof(struct vfio_pci_ser, flags) == 4);
static_assert(offsetof(struct vfio_pci_ser, domain) == 8);
static_assert(offsetof(struct vfio_pci_ser, bdf) == 12);
static_assert(offsetof(struct vfio_pci_ser, vendor) == 14);
static_assert(offsetof(struct vfio_pci_ser, device) == 16);
static_assert(offsetof(struct vfio_pci_ser, registers) == 20);

#endif /* _LINUX_KHO_ABI_VFIO_PCI_H */
