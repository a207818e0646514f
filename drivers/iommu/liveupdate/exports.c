// SPDX-License-Identifier: GPL-2.0
/*
 * What drivers in modules may call. Rust has no way to export a function to them.
 */

#include <linux/export.h>
#include <linux/iommu_liveupdate.h>

EXPORT_SYMBOL_GPL(iommu_liveupdate_register_flb);
EXPORT_SYMBOL_GPL(iommu_liveupdate_preserve);
EXPORT_SYMBOL_GPL(iommu_liveupdate_unpreserve);
EXPORT_SYMBOL_GPL(iommu_liveupdate_freeze);
EXPORT_SYMBOL_GPL(iommu_liveupdate_is_any_restored);
EXPORT_SYMBOL_GPL(iommu_liveupdate_is_mapped);
