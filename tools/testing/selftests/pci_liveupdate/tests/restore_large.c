// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that is preserved in one piece, larger than any that the page allocator has, is
 * restored in one piece by the next kernel, with what is in it.
 */

#include <stdio.h>
#include <stdlib.h>

#include "plu.h"

#define MODULE	"external/pci_liveupdate_reserve"
#define SIZE	(8UL << 20)

static __u64 parameter(const char *what)
{
	char path[96], number[32];

	snprintf(path, sizeof(path), "/sys/module/pci_liveupdate_reserve/parameters/%s", what);
	if (plu_read_file(path, number, sizeof(number)) <= 0)
		plu_bail("%s: cannot read it", path);

	return strtoull(number, NULL, 10);
}

static void preserve(void)
{
	plu_find_devices(0);
	plu_gives(plu_load_module(MODULE, "name=plu"), 0, "memory is reserved");
	plu_ok(parameter("bytes") == SIZE, "as much as was asked for");
	plu.note = parameter("address");
}

static void restore(void)
{
	char parameters[64];
	bool same = true;
	__u64 number;

	plu_take_over_some();
	snprintf(parameters, sizeof(parameters), "address=%llu bytes=%lu",
		 (unsigned long long)plu.note, SIZE);
	plu_gives(plu_load_module(MODULE, parameters), 0, "it is restored");
	for (__u64 page = 0; page < SIZE / 4096; page++) {
		plu_read_memory(plu.note + page * 4096, &number, sizeof(number));
		same &= number == page;
	}
	plu_ok(same, "with what is in it");
	plu_ok(plu_load_module(MODULE, parameters) < 0, "it is not there twice");
}

static const struct plu_test test = {
	.name = "restore_large",
	.stage = {
		{ .run = preserve, .plan = 2, .cmdline = "reserve_mem=8M:8M:plu" },
		{ .run = restore, .plan = 3 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
