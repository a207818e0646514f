// SPDX-License-Identifier: GPL-2.0

#include <linux/io.h>
#include <linux/mm.h>

#ifdef CONFIG_KEXEC_HANDOVER
__rust_helper phys_addr_t rust_helper_virt_to_phys(void *address)
{
	return virt_to_phys(address);
}

__rust_helper void *rust_helper_folio_address(const struct folio *folio)
{
	return folio_address(folio);
}

__rust_helper struct folio *rust_helper_virt_to_folio(const void *address)
{
	return virt_to_folio(address);
}

__rust_helper void rust_helper_folio_put(struct folio *folio)
{
	folio_put(folio);
}

__rust_helper void *rust_helper_phys_to_virt(phys_addr_t address)
{
	return phys_to_virt(address);
}

__rust_helper struct page *rust_helper_virt_to_page(const void *address)
{
	return virt_to_page(address);
}
#endif
