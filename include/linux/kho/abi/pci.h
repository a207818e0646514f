/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_KHO_ABI_PCI_H
#define _LINUX_KHO_ABI_PCI_H

#include <linux/build_bug.h>
#include <linux/stddef.h>
#include <linux/types.h>

/**
 * DOC: PCI Live Update ABI
 *
 * What one kernel tells the next about the PCI devices that it preserved.
 *
 * It is file-lifecycle-bound data of the Live Update Orchestrator, found by the
 * name %PCI_LUO_FLB_COMPATIBLE. The orchestrator hands over the physical address
 * of a &struct pci_ser in memory allocated with kho_alloc_preserve(). That one
 * leads to a &struct kho_block_set whose entries are &struct pci_dev_ser.
 *
 * All integers are in the byte order of the machine, since both kernels run on
 * the same one. A change to any of the structures, or to the meaning of a field,
 * is a new %PCI_SER_VERSION.
 */

/* Name of the file-lifecycle-bound data */
#define PCI_LUO_FLB_COMPATIBLE	"pci"

/* Version of the format that this header describes */
#define PCI_SER_VERSION		2

/**
 * struct pci_ser - The PCI devices that a kernel preserved
 * @version:    %PCI_SER_VERSION. Read before anything else, hence never moved or
 *              resized by any version.
 * @nr_devices: How many devices are preserved, the bridges above them included:
 *              how many of the entries have a &pci_dev_ser.refcount other than 0.
 * @devices:    Physical address of the first block of &struct pci_dev_ser, or 0
 *              when there is no block.
 */
struct pci_ser {
	u32 version;
	u32 nr_devices;
	u64 devices;
} __packed;

/**
 * struct pci_dev_ser - A PCI device that a kernel preserved
 * @domain:   PCI segment of the device.
 * @bdf:      Bus, device and function number, as pci_dev_id() puts them together.
 * @refcount: 0 for a free slot. 1 for an endpoint. For a bridge, how many
 *            preserved devices are at or below it.
 *
 * All bytes of a free slot are written as zero. Who reads one looks at nothing
 * but @refcount.
 */
struct pci_dev_ser {
	u32 domain;
	u16 bdf;
	u16 refcount;
} __packed;

static_assert(sizeof(struct pci_ser) == 16);
static_assert(offsetof(struct pci_ser, version) == 0);
static_assert(offsetof(struct pci_ser, nr_devices) == 4);
static_assert(offsetof(struct pci_ser, devices) == 8);

static_assert(sizeof(struct pci_dev_ser) == 8);
static_assert(offsetof(struct pci_dev_ser, domain) == 0);
static_assert(offsetof(struct pci_dev_ser, bdf) == 4);
static_assert(offsetof(struct pci_dev_ser, refcount) == 6);

#endif /* _LINUX_KHO_ABI_PCI_H */
