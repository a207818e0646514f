// SPDX-License-Identifier: GPL-2.0
/*
 * PCI Live Update: the floor of each figure of the benchmark, the least that any
 * implementation must do, for the same addresses.
 */

#include <linux/compiler.h>
#include <linux/pci.h>
#include <linux/timex.h>
#include <linux/xarray.h>

#include "bench.h"

static DEFINE_XARRAY(index);
static struct pci_dev_ser slots[PLU_BENCH_MAX] __aligned(sizeof(u64));

/* Where instructions are counted as time, this is their number. */
u64 plu_bench_now(void)
{
	return get_cycles();
}

static unsigned long key(unsigned int n)
{
	struct pci_dev_ser record = plu_bench_record(n);

	return (unsigned long)record.domain << 16 | record.bdf;
}

/* Of retrieving records: each gets into an index. */
int plu_bench_floor_insert(unsigned int n)
{
	int err;

	for (unsigned int i = 0; i < n; i++) {
		err = xa_insert(&index, key(i), &slots[i], GFP_KERNEL);
		if (err)
			return err;
	}

	return 0;
}

/* Of looking up records, or the addresses beside them. Returns how many are there. */
unsigned int plu_bench_floor_load(unsigned int n, bool beside)
{
	unsigned int found = 0;

	for (unsigned int i = 0; i < n; i++)
		found += !!xa_load(&index, key(i) + beside);

	return found;
}

void plu_bench_floor_destroy(void)
{
	xa_destroy(&index);
}

/* Of setting up devices when nothing was handed over: a flag is looked at. */
static bool nothing = true;

static noinline void setup(struct pci_dev *dev)
{
	if (unlikely(!READ_ONCE(nothing)))
		WRITE_ONCE(dev->liveupdate_inherits, true);
}

void plu_bench_floor_setup(struct pci_dev *devices, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		setup(&devices[i]);
}

/* Of preserving devices, unpreserving and finishing them: a store into a slot. */
static void store(struct pci_dev_ser *slot, struct pci_dev_ser record)
{
	WRITE_ONCE(*(u64 *)slot, *(u64 *)&record);
}

void plu_bench_floor_fill(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		store(&slots[i], plu_bench_record(i));
}

void plu_bench_floor_clear(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		store(&slots[i], (struct pci_dev_ser) {});
}

void plu_bench_floor_finish(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		WRITE_ONCE(slots[i].refcount, 0);
}
