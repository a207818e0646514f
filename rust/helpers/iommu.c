// SPDX-License-Identifier: GPL-2.0

#include <linux/iommu.h>

#ifndef CONFIG_IOMMU_API
__rust_helper bool rust_helper_iommu_is_dma_translated(struct device *dev)
{
	return iommu_is_dma_translated(dev);
}
#endif
