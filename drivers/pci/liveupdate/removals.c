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
#include <linux/spinlock.h>

#include "../liveupdate.h"
#include "../pci.h"

static DEFINE_SPINLOCK(lock);
static bool held_off;

/* The device that is being removed, and how many are because of it. */
static struct pci_dev *under_way;
static unsigned int nesting;

bool pci_liveupdate_are_removals_held_off(void)
{
	return READ_ONCE(held_off);
}

static bool is_under_way(void)
{
	return READ_ONCE(under_way);
}

/* One that is under way and waits for nobody ends before this returns. */
int pci_liveupdate_hold_off_removals(void)
{
	bool waits;

	scoped_guard(spinlock, &lock)
		held_off = true;
	read_poll_timeout(is_under_way, waits, !waits, USEC_PER_MSEC, USEC_PER_SEC, false);

	guard(spinlock)(&lock);
	if (!under_way)
		return 0;

	pci_err(under_way, "liveupdate: cannot replace the kernel: it is being removed, and its user has not closed it yet\n");
	held_off = false;

	return -EBUSY;
}

void pci_liveupdate_let_removals_go_on(void)
{
	guard(spinlock)(&lock);

	held_off = false;
}

static bool try_begin_removal(struct pci_dev *dev)
{
	guard(spinlock)(&lock);

	/* Removing one device can take removing others. */
	if (!nesting && held_off)
		return false;

	if (!nesting++)
		under_way = pci_dev_get(dev);

	return true;
}

bool pci_liveupdate_begin_removal(struct pci_dev *dev)
{
	lockdep_assert_held(&pci_rescan_remove_lock);

	while (!try_begin_removal(dev)) {
		if (system_state > SYSTEM_RUNNING || pci_liveupdate_is_jumping())
			return false;
		fsleep(10 * USEC_PER_MSEC);
	}

	return true;
}

void pci_liveupdate_end_removal(void)
{
	struct pci_dev *dev = NULL;

	lockdep_assert_held(&pci_rescan_remove_lock);

	scoped_guard(spinlock, &lock) {
		if (!--nesting)
			swap(dev, under_way);
	}
	pci_dev_put(dev);
}
