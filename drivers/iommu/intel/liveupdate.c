// SPDX-License-Identifier: GPL-2.0
/*
 * Translation that goes on while the kernel is replaced: what hardware needs for that.
 * <linux/iommu_liveupdate.h> describes it, and drivers/iommu/liveupdate/ decides.
 */

#define pr_fmt(fmt)	"DMAR: " fmt

#include <linux/bitmap.h>
#include <linux/crash_dump.h>
#include <linux/iommu_liveupdate.h>
#include <linux/kexec.h>
#include <linux/kexec_handover.h>
#include <linux/pci.h>
#include <linux/pci_liveupdate.h>
#include <linux/slab.h>

#include "../iommu-pages.h"
#include "iommu.h"
#include "liveupdate.h"
#include "pasid.h"

#define NR_REQUESTERS	BIT(16)

/* --- In the old kernel ------------------------------------------------------- */

static int count_alias(struct pci_dev *pdev, u16 alias, void *count)
{
	++*(unsigned int *)count;

	return 0;
}

/* Other PASIDs than that of requests without one, for which there is one table. */
static bool has_pasids(struct pasid_table *table)
{
	unsigned int nr = table->max_pasid >> PASID_PDE_SHIFT;
	struct pasid_dir_entry *dir = table->table;
	struct pasid_entry *entries;

	for (unsigned int i = 1; i < nr; i++)
		if (pasid_pde_is_present(&dir[i]))
			return true;

	entries = get_pasid_table_from_pde(&dir[0]);
	for (unsigned int i = 1; i < PASID_TBL_ENTRIES; i++)
		if (pasid_pte_is_present(&entries[i]))
			return true;

	return false;
}

static const char *why_not(struct device_domain_info *info, struct iommu_domain *domain)
{
	struct dmar_domain *dmar_domain = to_dmar_domain(domain);
	struct intel_iommu *iommu = info->iommu;
	unsigned int nr_aliases = 0;

	if (!(domain->type & __IOMMU_DOMAIN_PAGING) || !info->domain ||
	    &info->domain->domain != domain || !intel_domain_is_ss_paging(dmar_domain))
		return "it is not attached to a second-stage page table";
	if (intel_domain_is_restored(dmar_domain))
		return "it has the previous kernel's page table still";
	if (info->ats_supported)
		return "it may keep translations (ATS)";
	if (info->pri_enabled)
		return "it may ask for pages (PRI)";
	if (dmar_domain->nested_parent || dmar_domain->dirty_tracking)
		return "nesting and dirty tracking are not handed over";
	if (dev_is_real_dma_subdevice(info->dev))
		return "another device does its DMA";
	if (intel_iommu_has_direct(iommu))
		return "firmware wants memory to be mapped for a device of its IOMMU";
	if (!iommu->qi)
		return "its IOMMU has no queue for invalidations";

	pci_for_each_dma_alias(to_pci_dev(info->dev), count_alias, &nr_aliases);
	if (nr_aliases != 1)
		return "it has more than one requester ID";
	if (sm_supported(iommu) && has_pasids(info->pasid_table))
		return "it has PASIDs";

	return NULL;
}

static void add_folio(struct iommu_liveupdate_desc *desc, void *virt)
{
	desc->folio[desc->nr_folios++] = virt_to_phys(virt) & VTD_PAGE_MASK;
}

const char *intel_iommu_liveupdate_describe(struct device *dev, struct iommu_domain *domain,
					    struct iommu_liveupdate_desc *desc)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	struct intel_iommu *iommu = info->iommu;
	struct pt_iommu_vtdss_hw_info table;
	struct context_entry *context;
	const char *why;

	why = why_not(info, domain);
	if (why)
		return why;

	/* To be written to when nothing can be allocated. */
	if (!READ_ONCE(iommu->kept)) {
		unsigned long *kept = bitmap_zalloc(NR_REQUESTERS, GFP_KERNEL);

		if (!kept)
			return ERR_PTR(-ENOMEM);
		if (cmpxchg(&iommu->kept, NULL, kept))
			bitmap_free(kept);
	}

	pt_iommu_vtdss_hw_info(&info->domain->sspt, &table);
	*desc = (struct iommu_liveupdate_desc) {
		.device = {
			.unit = iommu->reg_phys,
			.top = table.ssptptr,
			.segment = info->segment,
			.requester = PCI_DEVID(info->bus, info->devfn),
			.domain_id = domain_id_iommu(info->domain, iommu),
			.format = IOMMU_SER_VTDSS,
			.levels = table.aw + 2,
			.scalable = sm_supported(iommu),
		},
	};

	spin_lock(&iommu->lock);
	context = iommu_context_addr(iommu, info->bus, info->devfn, 0);
	if (context && context_present(context)) {
		add_folio(desc, iommu->root_entry);
		add_folio(desc, context);
	}
	spin_unlock(&iommu->lock);
	if (!desc->nr_folios)
		return "it has no context entry";
	/* Interrupts are looked up until the next kernel has a table of its own. */
	if (iommu->ir_table)
		add_folio(desc, iommu->ir_table->base);
	if (sm_supported(iommu)) {
		add_folio(desc, info->pasid_table->table);
		add_folio(desc, get_pasid_table_from_pde(info->pasid_table->table));
	}

	return NULL;
}

void intel_iommu_liveupdate_keep(struct device *dev, bool keep)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);

	assign_bit(PCI_DEVID(info->bus, info->devfn), info->iommu->kept, keep);
}

/* Clear all entries of a table but those that are kept. Return whether any is. */
static bool keep_in_table(struct intel_iommu *iommu, struct context_entry *table,
			  unsigned int first, unsigned int nr, unsigned int size)
{
	bool any = false;

	for (unsigned int i = 0; i < nr; i++) {
		if (test_bit(first + i, iommu->kept)) {
			any = true;
			continue;
		}
		for (unsigned int j = 0; j < size; j++)
			context_clear_entry(&table[i * size + j]);
	}
	__iommu_flush_cache(iommu, table, VTD_PAGE_SIZE);

	return any;
}

/* No interrupt gets through, be it of a device that is kept or of any other. */
static void clear_interrupts(struct intel_iommu *iommu)
{
	if (!iommu->ir_table)
		return;

	memset(iommu->ir_table->base, 0, INTR_REMAP_TABLE_ENTRIES * sizeof(struct irte));
	__iommu_flush_cache(iommu, iommu->ir_table->base,
			    INTR_REMAP_TABLE_ENTRIES * sizeof(struct irte));
	qi_global_iec(iommu);
}

static void flush_all(struct intel_iommu *iommu)
{
	__iommu_flush_cache(iommu, iommu->root_entry, VTD_PAGE_SIZE);
	iommu_flush_write_buffer(iommu);
	iommu->flush.flush_context(iommu, 0, 0, 0, DMA_CCMD_GLOBAL_INVL);
	if (sm_supported(iommu))
		qi_flush_pasid_cache(iommu, 0, QI_PC_GLOBAL, 0);
	iommu->flush.flush_iotlb(iommu, 0, 0, 0, DMA_TLB_GLOBAL_FLUSH);
}

static void keep_in_half(struct intel_iommu *iommu, u64 *half, unsigned int first,
			 unsigned int nr, unsigned int size)
{
	u64 value = READ_ONCE(*half);

	if (!(value & 1))
		return;
	/* A table of which nothing is kept is in memory that is not preserved. */
	if (!keep_in_table(iommu, phys_to_virt(value & VTD_PAGE_MASK), first, nr, size))
		WRITE_ONCE(*half, 0);
}

bool intel_iommu_liveupdate_shutdown(struct intel_iommu *iommu)
{
	if (!iommu->kept || bitmap_empty(iommu->kept, NR_REQUESTERS))
		return false;

	/* Nobody is there to be told of faults. */
	writel(DMA_FECTL_IM, iommu->reg + DMAR_FECTL_REG);

	for (unsigned int bus = 0; bus < 256; bus++) {
		struct root_entry *root = &iommu->root_entry[bus];

		if (sm_supported(iommu)) {
			keep_in_half(iommu, &root->lo, bus << 8, 128, 2);
			keep_in_half(iommu, &root->hi, bus << 8 | 128, 128, 2);
		} else {
			keep_in_half(iommu, &root->lo, bus << 8, 256, 1);
		}
	}
	flush_all(iommu);
	clear_interrupts(iommu);
	pr_info("%s: translation stays on, for %u devices\n", iommu->name,
		bitmap_weight(iommu->kept, NR_REQUESTERS));

	return true;
}

/* --- In the new kernel ------------------------------------------------------- */

/* What hardware had before devices were probed. */
struct restored_device {
	struct list_head entry;
	struct restored_domain *domain;
	struct pasid_table *pasids;
	u16 requester;
};

struct restored_domain {
	struct dmar_domain dmar_domain;
	struct intel_iommu *iommu;
	struct iommu_device_ser device;
	struct list_head entry;
	unsigned int users;
	bool is_adopted;	/* hardware has it by way of this kernel's tables */
};

static LIST_HEAD(restored_devices);
static LIST_HEAD(restored_domains);
static DEFINE_MUTEX(restored_lock);

static void restored_domain_put(struct restored_domain *restored)
{
	struct dmar_domain *domain = &restored->dmar_domain;

	scoped_guard(mutex, &restored_lock) {
		if (--restored->users)
			return;
		list_del(&restored->entry);
	}
	/* No entry leads to it, and none is cached. */
	domain_detach_iommu(domain, restored->iommu);
	atomic_dec(&restored->iommu->nr_restored);
	/* If not, the old kernel's root may lead to it still. */
	iommu_liveupdate_unuse_table(&restored->device, restored->is_adopted);
	xa_destroy(&domain->iommu_array);
	kfree(domain->qi_batch);
	kfree(restored);
}

static void restored_domain_free(struct iommu_domain *domain)
{
	restored_domain_put(container_of(to_dmar_domain(domain), struct restored_domain,
					 dmar_domain));
}

const struct iommu_domain_ops intel_restored_domain_ops = {
	.attach_dev = intel_iommu_attach_restored,
	.free = restored_domain_free,
};

static struct restored_domain *restored_domain_get(struct intel_iommu *iommu,
						   const struct iommu_device_ser *device)
{
	struct pt_common *common;
	struct restored_domain *restored;
	struct dmar_domain *domain;
	int ret;

	lockdep_assert_held(&restored_lock);

	list_for_each_entry(restored, &restored_domains, entry)
		if (restored->iommu == iommu &&
		    restored->device.domain_id == device->domain_id) {
			/* Two tables under one number would be mixed up by caches. */
			if (restored->device.top != device->top ||
			    restored->device.levels != device->levels)
				return ERR_PTR(-EINVAL);
			restored->users++;
			return restored;
		}

	restored = kzalloc_obj(*restored);
	if (!restored)
		return ERR_PTR(-ENOMEM);

	restored->iommu = iommu;
	restored->device = *device;
	restored->users = 1;
	domain = &restored->dmar_domain;
	intel_iommu_init_domain(domain);
	domain->domain.type = IOMMU_DOMAIN_UNMANAGED;
	domain->domain.owner = &intel_iommu_ops;
	domain->domain.ops = &intel_restored_domain_ops;
	common = &domain->sspt.vtdss_pt.common;
	/* Its entry is to be as it was. */
	if (!(sm_supported(iommu) ? ecap_smpwc(iommu->ecap) : ecap_coherent(iommu->ecap)))
		common->features = BIT(PT_FEAT_DMA_INCOHERENT);
	common->max_vasz_lg2 = VTD_PAGE_SHIFT + LEVEL_STRIDE * device->levels;
	common->top_of_table = (uintptr_t)phys_to_virt(device->top) | (device->levels - 1);

	ret = domain_attach_iommu_as(domain, iommu, device->domain_id);
	if (ret)
		goto err_free;
	ret = iommu_liveupdate_use_table(device);
	if (ret)
		goto err_detach;
	list_add(&restored->entry, &restored_domains);
	atomic_inc(&iommu->nr_restored);

	return restored;

err_detach:
	domain_detach_iommu(domain, iommu);
err_free:
	kfree(restored);
	return ERR_PTR(ret);
}

/* An entry of the old kernel's tables: both halves, from what leads to it, if that does. */
static bool peek(u64 pointer, unsigned int offset, u64 entry[2], void *buffer)
{
	if (!(pointer & 1) ||
	    kho_peek(pointer & VTD_PAGE_MASK, buffer, offset + 2 * sizeof(*entry)))
		return false;
	memcpy(entry, buffer + offset, 2 * sizeof(*entry));

	return entry[0] & 1;
}

/* Is a device told of what its IOMMU does for it, and has done all the time? */
static int compare_with_old(struct intel_iommu *iommu, const struct iommu_device_ser *device)
{
	void *buffer __free(kfree) = kmalloc(VTD_PAGE_SIZE, GFP_KERNEL);
	unsigned int bus = PCI_BUS_NUM(device->requester), devfn = device->requester & 0xff;
	u64 entry[2], half;
	bool same;

	if (!buffer)
		return -ENOMEM;

	/* Either half of a root entry may be absent. */
	if (kho_peek(iommu->old_root & VTD_PAGE_MASK, buffer, VTD_PAGE_SIZE))
		return -EINVAL;
	half = ((struct root_entry *)buffer)[bus].lo;
	if (!device->scalable) {
		same = peek(half, devfn * sizeof(struct context_entry), entry, buffer) &&
		       (entry[0] >> 2 & 3) == CONTEXT_TT_MULTI_LEVEL &&
		       (entry[1] & 7) == device->levels - 2 &&
		       (u16)(entry[1] >> 8) == device->domain_id;
	} else {
		if (devfn & 0x80)
			half = ((struct root_entry *)buffer)[bus].hi;
		same = peek(half, (devfn & 0x7f) * 2 * sizeof(struct context_entry), entry,
			    buffer) &&
		       peek(entry[0], 0, entry, buffer) && peek(entry[0], 0, entry, buffer) &&
		       (entry[0] >> 6 & 7) == PASID_ENTRY_PGTT_SL_ONLY &&
		       (entry[0] >> 2 & 7) == device->levels - 2 &&
		       (u16)entry[1] == device->domain_id;
	}

	return same && (entry[0] & VTD_PAGE_MASK) == device->top ? 0 : -EINVAL;
}

static int restore_device(const struct iommu_device_ser *device, void *arg)
{
	struct intel_iommu *iommu = arg;
	struct restored_device *restored;
	struct restored_domain *domain;
	int ret;

	if (device->scalable != sm_supported(iommu) || device->segment != iommu->segment ||
	    device->domain_id < IDA_START_DID || device->domain_id >= iommu->max_domain_id)
		return -EINVAL;
	ret = compare_with_old(iommu, device);
	if (ret)
		return ret;

	guard(mutex)(&restored_lock);

	list_for_each_entry(restored, &restored_devices, entry)
		if (restored->domain->iommu == iommu && restored->requester == device->requester)
			return -EEXIST;

	restored = kzalloc_obj(*restored);
	if (!restored)
		return -ENOMEM;

	domain = restored_domain_get(iommu, device);
	if (IS_ERR(domain)) {
		ret = PTR_ERR(domain);
		goto err_free;
	}
	restored->domain = domain;
	restored->requester = device->requester;
	ret = intel_iommu_restore_entry(&domain->dmar_domain, iommu, device->requester,
					&restored->pasids);
	if (ret)
		goto err_put;
	domain->is_adopted = true;
	list_add(&restored->entry, &restored_devices);

	return 0;

err_put:
	mutex_unlock(&restored_lock);
	restored_domain_put(domain);
	mutex_lock(&restored_lock);
err_free:
	kfree(restored);
	return ret;
}

bool intel_iommu_liveupdate_is_possible(void)
{
	return is_kho_boot() && !is_kdump_kernel();
}

/*
 * That it is on is all that is known of a unit at first. Its mode can't be changed while it
 * is, and all units are in the same one, if they can be.
 */
void intel_iommu_liveupdate_detect(struct intel_iommu *iommu)
{
	bool scalable;

	iommu->stays_on = system_state < SYSTEM_RUNNING && intel_iommu_liveupdate_is_possible() &&
			  readl(iommu->reg + DMAR_GSTS_REG) & DMA_GSTS_TES;
	if (!iommu->stays_on || !ecap_smts(iommu->ecap))
		return;

	scalable = readq(iommu->reg + DMAR_RTADDR_REG) & DMA_RTADDR_SMT;
	if (scalable != intel_iommu_sm)
		pr_warn("%s: it is in %s mode, as the previous kernel has left it\n", iommu->name,
			scalable ? "scalable" : "legacy");
	intel_iommu_sm = scalable;
}

bool intel_iommu_liveupdate_keeps_on(struct intel_iommu *iommu)
{
	return iommu->stays_on && system_state < SYSTEM_RUNNING;
}

bool intel_iommu_liveupdate_is_at_work(struct intel_iommu *iommu)
{
	return atomic_read(&iommu->nr_restored);
}

/*
 * Without translation a device of the previous kernel would reach what it never could. So a
 * unit that may have one stays on, with nothing that leads anywhere.
 */
bool intel_iommu_liveupdate_block(struct intel_iommu *iommu)
{
	/* In a jump, those that are not handed over are no bus masters any more. */
	if (!intel_iommu_liveupdate_keeps_on(iommu) &&
	    (!intel_iommu_liveupdate_is_at_work(iommu) || kexec_in_progress))
		return false;

	if (intel_iommu_lead_nowhere(iommu))
		pr_warn("%s: translation stays on, and leads nowhere\n", iommu->name);
	else
		pr_err("%s: translation stays as it is: no memory\n", iommu->name);

	return true;
}

void intel_iommu_liveupdate_replace_irta(struct intel_iommu *iommu)
{
	iommu->old_irta = readq(iommu->reg + DMAR_IRTA_REG);
}

void intel_iommu_liveupdate_adopt(struct intel_iommu *iommu)
{
	iommu->old_root = readq(iommu->reg + DMAR_RTADDR_REG);
	iommu_liveupdate_for_each_device(iommu->reg_phys, restore_device, iommu);
}

/* A page that the previous kernel preserved, and nobody else has taken over. */
static void *take_page(u64 phys)
{
	struct folio *folio;

	if (!(phys & 1))
		return NULL;
	folio = kho_try_restore_folio(phys & VTD_PAGE_MASK, VTD_PAGE_SIZE);

	return folio ? folio_address(folio) : NULL;
}

static void put_page_at(void *virt)
{
	if (virt)
		folio_put(virt_to_folio(virt));
}

static void free_old_pasids(struct context_entry *context)
{
	struct pasid_dir_entry *dir = take_page(context->lo);

	if (dir)
		put_page_at(take_page(dir->val));
	put_page_at(dir);
}

static void free_old_contexts(u64 half, bool scalable)
{
	struct context_entry *table = take_page(half);

	for (unsigned int i = 0; table && scalable && i < 256; i += 2)
		free_old_pasids(&table[i]);
	put_page_at(table);
}

void intel_iommu_liveupdate_adopted(struct intel_iommu *iommu)
{
	bool scalable = iommu->old_root & DMA_RTADDR_SMT;
	struct root_entry *root;

	if (!iommu->old_root)
		return;

	put_page_at(take_page((iommu->old_irta & VTD_PAGE_MASK) | 1));
	root = take_page((iommu->old_root & VTD_PAGE_MASK) | 1);
	iommu->old_root = 0;
	for (unsigned int bus = 0; root && bus < 256; bus++) {
		free_old_contexts(root[bus].lo, scalable);
		if (scalable)
			free_old_contexts(root[bus].hi, scalable);
	}
	put_page_at(root);
}

static struct restored_device *find_restored(struct device_domain_info *info)
{
	struct restored_device *restored;

	lockdep_assert_held(&restored_lock);

	list_for_each_entry(restored, &restored_devices, entry)
		if (restored->domain->iommu == info->iommu &&
		    restored->requester == PCI_DEVID(info->bus, info->devfn))
			return restored;

	return NULL;
}

struct pasid_table *intel_iommu_restored_pasids(struct device_domain_info *info)
{
	struct restored_device *restored;
	struct pasid_table *pasids = NULL;

	guard(mutex)(&restored_lock);

	restored = find_restored(info);
	if (restored)
		swap(pasids, restored->pasids);

	return pasids;
}

struct iommu_domain *intel_iommu_restored_domain(struct device *dev)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	struct restored_device *restored;
	struct iommu_domain *domain;

	guard(mutex)(&restored_lock);

	restored = find_restored(info);
	if (!restored)
		return NULL;

	/* The reference goes to the caller. */
	domain = &restored->domain->dmar_domain.domain;
	list_del(&restored->entry);
	kfree(restored);

	return domain;
}

static void drop(struct restored_device *restored)
{
	struct intel_iommu *iommu = restored->domain->iommu;

	pr_warn("%s: %02x:%02x.%u is not there: its translation ends\n", iommu->name,
		PCI_BUS_NUM(restored->requester), PCI_SLOT(restored->requester),
		PCI_FUNC(restored->requester));
	intel_iommu_drop_entry(iommu, restored->requester, restored->domain->device.domain_id);
	if (restored->pasids)
		intel_pasid_free_restored(restored->pasids);
	restored_domain_put(restored->domain);
	kfree(restored);
}

/* The PCI core may not know it, or have stopped it: then it is one like any other. */
void intel_iommu_liveupdate_probe(struct device_domain_info *info)
{
	struct restored_device *restored;

	if (dev_is_pci(info->dev) && pci_liveupdate_is_incoming(to_pci_dev(info->dev)))
		return;

	scoped_guard(mutex, &restored_lock) {
		restored = find_restored(info);
		if (restored)
			list_del(&restored->entry);
	}
	if (restored)
		drop(restored);
}

/*
 * All devices were probed. What was handed over and is not there can't be had back by
 * anybody, and is not to be at work.
 */
void intel_iommu_liveupdate_drop_absent(void)
{
	struct restored_device *restored, *next;
	LIST_HEAD(absent);

	scoped_guard(mutex, &restored_lock)
		list_splice_init(&restored_devices, &absent);

	list_for_each_entry_safe(restored, next, &absent, entry)
		drop(restored);
}
