/* SPDX-License-Identifier: GPL-2.0 */
/*
 * PCI Live Update: what the benchmark, mod.rs, calls, which has these prototypes
 * once more.
 *
 * All are about the first @n of the same addresses: every other one of the domains
 * from PLU_BENCH_DOMAIN on, so that there is an address beside each that is not one
 * of them.
 */
#ifndef DRIVERS_PCI_LIVEUPDATE_BENCH_H
#define DRIVERS_PCI_LIVEUPDATE_BENCH_H

#include <linux/kho/abi/pci.h>
#include <linux/types.h>

#define PLU_BENCH_DOMAIN	1
#define PLU_BENCH_PER_DOMAIN	32768
/* As many as there are addresses in a domain. */
#define PLU_BENCH_MAX		65536

static inline struct pci_dev_ser plu_bench_record(unsigned int n)
{
	return (struct pci_dev_ser) {
		.domain = PLU_BENCH_DOMAIN + n / PLU_BENCH_PER_DOMAIN,
		.bdf = n % PLU_BENCH_PER_DOMAIN * 2,
		.refcount = 1,
	};
}

/* hand_over.c */
phys_addr_t plu_bench_hand_over(unsigned int n);
unsigned int plu_bench_floor_restore(phys_addr_t phys);

/* devices.c: the last four go through all of the @n devices. */
int plu_bench_make_devices(unsigned int n);
struct pci_dev *plu_bench_devices(void);
void plu_bench_setup(unsigned int n);
int plu_bench_preserve(unsigned int n);
int plu_bench_unpreserve(unsigned int n);
void plu_bench_finish(unsigned int n);

/* floor.c */
u64 plu_bench_now(void);
int plu_bench_floor_insert(unsigned int n);
unsigned int plu_bench_floor_load(unsigned int n, bool beside);
void plu_bench_floor_destroy(void);
void plu_bench_floor_setup(struct pci_dev *devices, unsigned int n);
void plu_bench_floor_fill(unsigned int n);
void plu_bench_floor_clear(unsigned int n);
void plu_bench_floor_finish(unsigned int n);

#endif /* DRIVERS_PCI_LIVEUPDATE_BENCH_H */
