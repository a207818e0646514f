// SPDX-License-Identifier: GPL-2.0
/*
 * PCI Live Update: no bus number changes while a device is being preserved.
 *
 * Only where all numbers are assigned anew does a scan take some away that a bridge has.
 */

#include <linux/iopoll.h>
#include <linux/mutex.h>
#include <linux/pci.h>

#include "../liveupdate.h"
#include "../pci.h"

/*
 * Who scans holds the lock, and so may who removes a device, and waits for its user: do
 * not wait long. Gives 1 if the lock was taken.
 */
int pci_liveupdate_hold_bus_numbers(void)
{
	bool locked;

	if (!pcibios_assign_all_busses())
		return 0;

	if (read_poll_timeout(mutex_trylock, locked, locked, 10 * USEC_PER_MSEC, USEC_PER_SEC,
			      false, &pci_rescan_remove_lock))
		return -EBUSY;

	return 1;
}

void pci_liveupdate_release_bus_numbers(void)
{
	mutex_unlock(&pci_rescan_remove_lock);
}
