// SPDX-License-Identifier: GPL-2.0

#include <linux/iommu.h>
#include <linux/iommu_liveupdate.h>

#ifndef CONFIG_IOMMU_API
__rust_helper bool rust_helper_iommu_is_dma_translated(struct device *dev)
{
	return iommu_is_dma_translated(dev);
}

__rust_helper void rust_helper_iommu_device_drop_restored(struct device *dev)
{
	iommu_device_drop_restored(dev);
}
#endif

#ifndef CONFIG_IOMMU_LIVEUPDATE
__rust_helper int rust_helper_iommu_liveupdate_register_flb(struct liveupdate_file_handler *fh)
{
	return iommu_liveupdate_register_flb(fh);
}

__rust_helper bool rust_helper_iommu_liveupdate_is_preserved(struct device *dev)
{
	return iommu_liveupdate_is_preserved(dev);
}
#endif
