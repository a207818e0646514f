// SPDX-License-Identifier: GPL-2.0
/*
 * PCI Live Update: devices that are being removed when the machine jumps.
 *
 * Whoever removes a device may wait for its user, with the device's lock, which
 * shutdown waits for; and shutdown of a hot-plug port waits for who handles its events,
 * who may be the one that removes the device. So nothing is removed any more once the
 * jump can't be called off.
 */

#include <linux/delay.h>
#include <linux/iopoll.h>
#include <linux/kernel.h>
#include <linux/lockdep.h>
#include <linux/mutex.h>

#include "../liveupdate.h"
#include "../pci.h"

static bool held_off;

static bool is_none_under_way(void)
{
	if (!mutex_trylock(&pci_rescan_remove_lock))
		return false;
	mutex_unlock(&pci_rescan_remove_lock);

	return true;
}

/*
 * A removal that is under way when this is called, and does not wait for anybody, ends
 * before this returns. Of others, their drivers have to know.
 */
void pci_liveupdate_hold_off_removals(void)
{
	bool none;

	WRITE_ONCE(held_off, true);
	read_poll_timeout(is_none_under_way, none, none, USEC_PER_MSEC, USEC_PER_SEC, false);
}

void pci_liveupdate_let_removals_go_on(void)
{
	WRITE_ONCE(held_off, false);
}

bool pci_liveupdate_may_remove(void)
{
	lockdep_assert_held(&pci_rescan_remove_lock);

	while (READ_ONCE(held_off)) {
		if (system_state > SYSTEM_RUNNING)
			return false;
		fsleep(10 * USEC_PER_MSEC);
	}

	return true;
}
