// SPDX-License-Identifier: GPL-2.0
/*
 * PCI Live Update: whether the machine is on its way to the next kernel, and can't be kept
 * from that.
 */

#include <linux/export.h>
#include <linux/kexec.h>
#include <linux/pci_liveupdate.h>

bool pci_liveupdate_is_jumping(void)
{
	return kexec_in_progress;
}
EXPORT_SYMBOL_GPL(pci_liveupdate_is_jumping);
