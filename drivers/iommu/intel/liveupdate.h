/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Translation that goes on while the kernel is replaced.
 */
#ifndef INTEL_IOMMU_LIVEUPDATE_H
#define INTEL_IOMMU_LIVEUPDATE_H

#include <linux/types.h>

struct device;
struct device_domain_info;
struct dmar_domain;
struct intel_iommu;
struct iommu_domain;
struct iommu_liveupdate_desc;
struct pasid_table;

#ifdef CONFIG_IOMMU_LIVEUPDATE

/* liveupdate.c: in the old kernel */
const char *intel_iommu_liveupdate_describe(struct device *dev, struct iommu_domain *domain,
					    struct iommu_liveupdate_desc *desc);
void intel_iommu_liveupdate_keep(struct device *dev, bool keep);
bool intel_iommu_liveupdate_shutdown(struct intel_iommu *iommu);

/* liveupdate.c: in the new kernel */
bool intel_iommu_liveupdate_is_possible(void);
void intel_iommu_liveupdate_detect(struct intel_iommu *iommu);
bool intel_iommu_liveupdate_keeps_on(struct intel_iommu *iommu);
bool intel_iommu_liveupdate_is_at_work(struct intel_iommu *iommu);
bool intel_iommu_liveupdate_block(struct intel_iommu *iommu);
void intel_iommu_liveupdate_replace_irta(struct intel_iommu *iommu);
void intel_iommu_liveupdate_adopt(struct intel_iommu *iommu);
void intel_iommu_liveupdate_adopted(struct intel_iommu *iommu);
void intel_iommu_liveupdate_probe(struct device_domain_info *info);
void intel_iommu_liveupdate_drop_absent(void);
struct pasid_table *intel_iommu_restored_pasids(struct device_domain_info *info);
struct iommu_domain *intel_iommu_restored_domain(struct device *dev);

/* iommu.c and pasid.c, for liveupdate.c */
bool intel_iommu_has_direct(struct intel_iommu *iommu);
bool intel_iommu_lead_nowhere(struct intel_iommu *iommu);
void intel_iommu_init_domain(struct dmar_domain *domain);
int domain_attach_iommu_as(struct dmar_domain *domain, struct intel_iommu *iommu, u16 did);
int intel_iommu_attach_restored(struct iommu_domain *domain, struct device *dev,
				struct iommu_domain *old);
void intel_iommu_drop_entry(struct intel_iommu *iommu, u16 requester, u16 did);
int intel_iommu_restore_entry(struct dmar_domain *domain, struct intel_iommu *iommu,
			      u16 requester, struct pasid_table **pasids);
void intel_pasid_free_restored(struct pasid_table *table);
struct pasid_table *intel_pasid_restore_table(struct intel_iommu *iommu,
					      struct dmar_domain *domain, u16 requester);

#else

static inline bool intel_iommu_liveupdate_shutdown(struct intel_iommu *iommu)
{
	return false;
}

static inline bool intel_iommu_liveupdate_is_possible(void)
{
	return false;
}

static inline void intel_iommu_liveupdate_detect(struct intel_iommu *iommu)
{
}

static inline bool intel_iommu_liveupdate_keeps_on(struct intel_iommu *iommu)
{
	return false;
}

static inline bool intel_iommu_liveupdate_is_at_work(struct intel_iommu *iommu)
{
	return false;
}

static inline bool intel_iommu_liveupdate_block(struct intel_iommu *iommu)
{
	return false;
}

static inline void intel_iommu_liveupdate_replace_irta(struct intel_iommu *iommu)
{
}

static inline void intel_iommu_liveupdate_adopt(struct intel_iommu *iommu)
{
}

static inline void intel_iommu_liveupdate_adopted(struct intel_iommu *iommu)
{
}

static inline void intel_iommu_liveupdate_probe(struct device_domain_info *info)
{
}

static inline void intel_iommu_liveupdate_drop_absent(void)
{
}

static inline struct pasid_table *intel_iommu_restored_pasids(struct device_domain_info *info)
{
	return NULL;
}

#endif

#endif /* INTEL_IOMMU_LIVEUPDATE_H */
