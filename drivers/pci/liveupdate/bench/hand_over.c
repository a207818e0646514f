// SPDX-License-Identifier: GPL-2.0
/*
 * PCI Live Update: a hand-over for the benchmark to read, as a previous kernel would
 * have left it, and the least that it takes to get at its pages.
 */

#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/kexec_handover.h>
#include <linux/kho/abi/block.h>
#include <linux/mm.h>

#include "bench.h"

struct block {
	struct kho_block_header_ser header;
	struct pci_dev_ser records[];
};

#define PER_BLOCK ((KHO_BLOCK_SIZE - sizeof(struct block)) / sizeof(struct pci_dev_ser))

/* Given up to KHO, as if it was the previous kernel's. */
static void *new_page(void)
{
	void *page = (void *)get_zeroed_page(GFP_KERNEL);

	if (page)
		kho_mark_restorable(virt_to_page(page));

	return page;
}

/* Where it is, or 0: no memory, and what there was of it is lost. */
phys_addr_t plu_bench_hand_over(unsigned int n)
{
	struct pci_ser *ser = new_page();
	unsigned int done = 0;
	struct block *block;
	u64 *link;

	if (!ser)
		return 0;

	ser->version = PCI_SER_VERSION;
	ser->nr_devices = n;
	for (link = &ser->devices; done < n; link = &block->header.next) {
		block = new_page();
		if (!block)
			return 0;

		while (done < n && block->header.count < PER_BLOCK)
			block->records[block->header.count++] = plu_bench_record(done++);
		*link = virt_to_phys(block);
	}

	return virt_to_phys(ser);
}

/* The floor of what is done for each page, to give it back. Returns how many there are. */
unsigned int plu_bench_floor_restore(phys_addr_t phys)
{
	struct folio *folio = kho_restore_folio(phys);
	struct pci_ser *ser = folio_address(folio);
	struct kho_block_header_ser *header;
	unsigned int pages = 1;

	phys = ser->devices;
	folio_put(folio);
	for (; phys; pages++) {
		folio = kho_restore_folio(phys);
		header = folio_address(folio);
		phys = header->next;
		folio_put(folio);
	}

	return pages;
}
