// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of live update with vfio-pci: whether a device was reset. QEMU's e1000 has a table
 * of multicast addresses, which is all zero then.
 */

#include <stddef.h>

#include "vlu.h"

#define E1000_MTA	0x5200

void vlu_e1000_write(const struct plu_device *d, __u32 entry)
{
	vlu_access(d, E1000_MTA, &entry);
}

__u32 vlu_e1000_read(const struct plu_device *d)
{
	return vlu_access(d, E1000_MTA, NULL);
}
