/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_KHO_ABI_IOMMU_H
#define _LINUX_KHO_ABI_IOMMU_H

#include <linux/build_bug.h>
#include <linux/stddef.h>
#include <linux/types.h>

/**
 * DOC: IOMMU Live Update ABI
 *
 * What one kernel tells the next about devices whose DMA goes on while the kernel is
 * replaced, translated by tables that the first one has made.
 *
 * It is file-lifecycle-bound data of the Live Update Orchestrator, found by the name
 * %IOMMU_LUO_FLB_COMPATIBLE. The orchestrator hands over the physical address of a
 * &struct iommu_ser in memory allocated with kho_alloc_preserve(). That one leads to a
 * &struct kho_block_set whose entries are &struct iommu_device_ser.
 *
 * Each page of the tables is preserved as a folio of its own: those that a record names,
 * what hardware reads on its way from its root to these, and all that they lead to. What
 * they map is preserved by whoever it belongs to.
 *
 * All integers are in the byte order of the machine, since both kernels run on the same
 * one. A change to any of the structures, or to the meaning of a field, is a new
 * %IOMMU_SER_VERSION.
 */

/* Name of the file-lifecycle-bound data */
#define IOMMU_LUO_FLB_COMPATIBLE	"iommu-translation"

/* Version of the format that this header describes */
#define IOMMU_SER_VERSION		1

/* Second-stage tables of Intel VT-d */
#define IOMMU_SER_VTDSS			1

/**
 * struct iommu_ser - The devices whose translation goes on
 * @version:    %IOMMU_SER_VERSION. Read before anything else, hence never moved or
 *              resized by any version.
 * @nr_devices: How many they are.
 * @devices:    Physical address of the first block of &struct iommu_device_ser, or 0
 *              when there is no block.
 */
struct iommu_ser {
	u32 version;
	u32 nr_devices;
	u64 devices;
} __packed;

/**
 * struct iommu_device_ser - A device whose translation goes on
 * @unit:      Physical address of the registers of its IOMMU.
 * @top:       Physical address of the highest page table.
 * @segment:   PCI segment of the IOMMU.
 * @requester: By which it is known to the IOMMU: bus, device and function number.
 * @domain_id: Under which the IOMMU has its translations in its caches. Devices with the
 *             same one have the same page table, and those with another have another.
 * @format:    %IOMMU_SER_VTDSS.
 * @levels:    How many levels of tables there are.
 * @scalable:  1 if the IOMMU finds the page table by way of a table of PASIDs, else 0.
 * @reserved:  Zero.
 */
struct iommu_device_ser {
	u64 unit;
	u64 top;
	u32 segment;
	u16 requester;
	u16 domain_id;
	u8 format;
	u8 levels;
	u8 scalable;
	u8 reserved[5];
} __packed;

static_assert(sizeof(struct iommu_ser) == 16);
static_assert(offsetof(struct iommu_ser, version) == 0);
static_assert(offsetof(struct iommu_ser, nr_devices) == 4);
static_assert(offsetof(struct iommu_ser, devices) == 8);

static_assert(sizeof(struct iommu_device_ser) == 32);
static_assert(offsetof(struct iommu_device_ser, unit) == 0);
static_assert(offsetof(struct iommu_device_ser, top) == 8);
static_assert(offsetof(struct iommu_device_ser, segment) == 16);
static_assert(offsetof(struct iommu_device_ser, requester) == 20);
static_assert(offsetof(struct iommu_device_ser, domain_id) == 22);
static_assert(offsetof(struct iommu_device_ser, format) == 24);
static_assert(offsetof(struct iommu_device_ser, levels) == 25);
static_assert(offsetof(struct iommu_device_ser, scalable) == 26);

#endif /* _LINUX_KHO_ABI_IOMMU_H */
