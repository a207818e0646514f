/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_IOMMU_LIVEUPDATE_H
#define _LINUX_IOMMU_LIVEUPDATE_H

#include <linux/errno.h>
#include <linux/kho/abi/iommu.h>
#include <linux/types.h>

/**
 * DOC: IOMMU Live Update
 *
 * While the kernel is replaced by kexec, devices can go on doing DMA that an IOMMU
 * translates, if their driver and the IOMMU's support it. The tables that their DMA goes
 * through stay as they are from iommu_liveupdate_preserve() on, until the next kernel
 * attaches the device to another domain.
 */

struct device;
struct liveupdate_file_handler;

/**
 * struct iommu_liveupdate_desc - what hardware needs to translate the DMA of a device
 * @device:   what the next kernel is told of it
 * @folio:    physical addresses of folios that hardware reads before it comes to the page
 *            table. Devices may share them.
 * @nr_folios: how many these are
 */
struct iommu_liveupdate_desc {
	struct iommu_device_ser device;
	u64 folio[5];
	unsigned int nr_folios;
};

#ifdef CONFIG_IOMMU_LIVEUPDATE

/**
 * iommu_liveupdate_register_flb - have translation handed over with files of a driver
 * @fh: the driver's registered file handler
 *
 * Until @fh is unregistered.
 *
 * Context: May sleep.
 * Return: 0, or what liveupdate_register_flb() gives.
 */
int iommu_liveupdate_register_flb(struct liveupdate_file_handler *fh);

/**
 * iommu_liveupdate_preserve - let a device do DMA while the kernel is replaced
 * @dev: the device, whose file is preserved by a driver that has called
 *       iommu_liveupdate_register_flb()
 *
 * The caller sees to it that nobody changes the page table of @dev until
 * iommu_liveupdate_unpreserve(). He need not see to it that @dev stays attached to it:
 * iommu_liveupdate_freeze() finds that out. All that is mapped is looked up: what is
 * preserved by now need not be looked up then, when nobody serves who uses @dev.
 *
 * Context: May sleep. Takes the mutex of @dev's group.
 * Return: 0, -EOPNOTSUPP when translation of @dev can't go on, which is logged, -EBUSY
 *         when it is preserved already, -ENOENT when no file is, -ENOMEM.
 */
int iommu_liveupdate_preserve(struct device *dev);

/**
 * iommu_liveupdate_unpreserve - undo iommu_liveupdate_preserve()
 * @dev: the device. If it isn't preserved, nothing happens.
 *
 * Context: May sleep.
 */
void iommu_liveupdate_unpreserve(struct device *dev);

/**
 * iommu_liveupdate_freeze - find out whether all that a device can reach is preserved
 * @dev: a device that was preserved
 *
 * To be called when the kernel is about to be replaced, when nobody can preserve or
 * unpreserve memory any more.
 *
 * Context: May sleep. Takes the mutex of @dev's group.
 * Return: 0, or -EBUSY, which is logged, with the address that is in the way; also when
 *         @dev is not preserved any more.
 */
int iommu_liveupdate_freeze(struct device *dev);

/**
 * iommu_liveupdate_is_preserved - tell whether a device may do DMA in the jump
 * @dev: the device
 *
 * Context: May sleep.
 * Return: true if its translation goes on.
 */
bool iommu_liveupdate_is_preserved(struct device *dev);

/**
 * iommu_liveupdate_is_any_restored - tell whether a device may do DMA by an old page table
 *
 * Once it is false, it does not become true any more.
 *
 * Context: Any context.
 * Return: true if a page table that was handed over is still in use.
 */
bool iommu_liveupdate_is_any_restored(void);

/**
 * iommu_liveupdate_is_mapped - tell whether memory can be reached by an old page table
 * @next: gives the next range of memory, a physical address and a size, or false
 * @arg: for @next
 *
 * The ranges must not overlap.
 *
 * Context: May sleep.
 * Return: true if a page table that was handed over, and is still in use, leads to any of
 *         the ranges; or if there is no memory to find out.
 */
bool iommu_liveupdate_is_mapped(bool (*next)(void *arg, u64 *address, u64 *size), void *arg);

/* For the drivers of IOMMUs: drivers/iommu/liveupdate/hooks.rs documents them. */
void iommu_liveupdate_for_each_device(u64 unit,
				      int (*f)(const struct iommu_device_ser *device, void *arg),
				      void *arg);
int iommu_liveupdate_use_table(const struct iommu_device_ser *device);
void iommu_liveupdate_unuse_table(const struct iommu_device_ser *device, bool free);

/* drivers/iommu/iommu.c, for drivers/iommu/liveupdate/ */
const char *iommu_liveupdate_describe(struct device *dev, struct iommu_liveupdate_desc *desc);
void iommu_liveupdate_keep(struct device *dev, bool keep);

#else

static inline int iommu_liveupdate_register_flb(struct liveupdate_file_handler *fh)
{
	return 0;
}

static inline int iommu_liveupdate_preserve(struct device *dev)
{
	return -EOPNOTSUPP;
}

static inline void iommu_liveupdate_unpreserve(struct device *dev)
{
}

static inline int iommu_liveupdate_freeze(struct device *dev)
{
	return 0;
}

static inline bool iommu_liveupdate_is_preserved(struct device *dev)
{
	return false;
}

static inline bool iommu_liveupdate_is_any_restored(void)
{
	return false;
}

static inline bool iommu_liveupdate_is_mapped(bool (*next)(void *arg, u64 *address, u64 *size),
					      void *arg)
{
	return false;
}

#endif

#endif /* _LINUX_IOMMU_LIVEUPDATE_H */
