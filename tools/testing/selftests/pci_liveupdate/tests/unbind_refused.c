// SPDX-License-Identifier: GPL-2.0
/*
 * What is preserved, a device or a bridge above it, can neither be unbound from its
 * driver nor removed through sysfs, and the kernel names it. To write 0 where 1 removes
 * does nothing, as ever. What is not preserved can be both:
 * devices and bridges beside it, the same ones when they are not preserved any more,
 * and those that the previous kernel has preserved.
 */

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "plu.h"

/* In the default topology: two ports of a switch, a root port, a conventional bus */
#define SWITCH_1	"0000:00/05.0/00.0/00.0/00.0"
#define SWITCH_2	"0000:00/05.0/00.0/01.0/00.0"
#define PORT		"0000:00/04.0/00.0"
#define CONVENTIONAL	"0000:00/06.0/01.0"

#define SESSION		"unbind_refused"

static bool refuses_to(int (*call)(struct plu_device *d), struct plu_device *d)
{
	char message[128];
	unsigned int said;
	int ret;

	snprintf(message, sizeof(message),
		 "%s: liveupdate: cannot be unbound or removed: preserved for the next kernel",
		 d->bdf);
	said = plu_times_said(message);
	ret = call(d);
	if (ret == -EBUSY && plu_times_said(message) == said + 1)
		return true;
	plu_say("%s: gives %d, and says why %u times", d->bdf, ret,
		plu_times_said(message) - said);

	return false;
}

/* Is a 0 taken, and nothing made of it, for the device and each bridge above it? */
static bool takes_zero(struct plu_device *d)
{
	unsigned int said = plu_times_said("cannot be unbound or removed"), level = 0;
	struct plu_device *at = d;
	bool ok = true;

	for (; at; at = plu_upstream(d, level++)) {
		int ret = plu_write_file(plu_sysfs(at, "remove"), "0\n");

		if (!ret && plu_exists(plu_sysfs(at, "config")))
			continue;
		plu_say("%s: gives %d", at->bdf, ret);
		ok = false;
	}

	return ok && plu_times_said("cannot be unbound or removed") == said;
}

static void close_file(struct plu_device *d)
{
	close(d->fd);
	d->fd = -1;
}

/* Can neither be done, for the device and each bridge above it? */
static bool refuses_all(struct plu_device *d)
{
	struct plu_device *at = d;
	unsigned int level = 0;
	bool ok = true;

	while (at) {
		if (at->driver)
			ok &= refuses_to(plu_unbind, at);
		ok &= refuses_to(plu_remove, at);
		at = plu_upstream(d, level++);
	}

	return ok;
}

static bool binds_again(struct plu_device *d)
{
	const char *driver = d->driver;

	if (driver && (plu_unbind(d) || plu_bind(d, driver))) {
		plu_say("%s: cannot be unbound and bound", d->bdf);
		return false;
	}

	return true;
}

/* Can both be done, for it and each bridge above, up to the last of so many? */
static bool allows_all(struct plu_device *d, unsigned int levels)
{
	struct plu_device *at = d;
	bool ok = true;

	for (unsigned int level = 0; at && level <= levels; level++) {
		ok &= binds_again(at);
		if (plu_remove(at)) {
			plu_say("%s: cannot be removed", at->bdf);
			ok = false;
		}
		plu_rescan();
		at = plu_upstream(d, level);
	}

	return ok;
}

static void kernel_a(void)
{
	struct plu_device *d, *beside;
	int session, second;

	plu_find_devices(5);
	d = plu_at(SWITCH_1);
	beside = plu_at(SWITCH_2);

	session = plu_session(SESSION);
	second = plu_session("second");
	plu_preserve(session, d);
	plu_preserve(second, beside);
	plu_preserve(second, plu_at(CONVENTIONAL));
	plu_check("three devices are outgoing, two of them behind a switch");

	plu_ok(refuses_all(d), "nothing up to the root port can be unbound or removed");
	plu_ok(takes_zero(d), "a 0 that is written to remove is neither refused nor obeyed");
	plu_ok(refuses_all(beside), "nor from the other");
	plu_ok(refuses_all(plu_at(CONVENTIONAL)), "nor the bridge to conventional PCI");
	plu_check("the devices are outgoing, as they were");
	plu_ok(allows_all(plu_at(PORT), 1), "another device can, and the port above it");
	plu_check("it is what it was");

	plu_close_session(second);
	close_file(beside);
	close_file(plu_at(CONVENTIONAL));
	plu_ok(allows_all(beside, 0) && binds_again(plu_upstream(beside, 0)) &&
	       allows_all(plu_at(CONVENTIONAL), 1),
	       "what is not preserved any more can");
	plu_ok(refuses_to(plu_unbind, plu_upstream(beside, 1)) &&
	       refuses_to(plu_remove, plu_upstream(beside, 2)),
	       "what the first device needs as well cannot");
	plu_check("the first device is outgoing, as it was");
}

static void kernel_b(void)
{
	struct plu_device *d;
	int session, next;

	plu_take_over();
	d = plu_at(SWITCH_1);
	plu_check("one device is incoming");
	plu_ok(allows_all(d, 3), "all up to the root port can be unbound and removed");
	plu_check("it is incoming, as it was");

	session = plu_retrieve_session(SESSION);
	plu_retrieve(session, d);
	/* This file belongs to the session until that ends. */
	close_file(d);
	next = plu_session("next");
	plu_preserve(next, d);
	plu_ok(refuses_all(d), "nothing can when the device is outgoing, too");
	plu_finish(session);
	plu_ok(refuses_all(d), "nor when it is finished");
	plu_close_session(next);
	close_file(d);
	plu_ok(allows_all(d, 3), "all can when it is not outgoing any more");
	plu_check("it is ordinary");
}

static const struct plu_test test = {
	.name = "unbind_refused",
	.stage = {
		{ .run = kernel_a, .plan = 11 },
		{ .run = kernel_b, .plan = 7 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
