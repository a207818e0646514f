// SPDX-License-Identifier: GPL-2.0
/*
 * Runtime power management puts to sleep what it takes for unused, which would end the DMA
 * of a preserved device. So as long as a device is incoming it stays awake, with a driver
 * and without, also when userspace allows it to sleep; and so do the bridges above it, and
 * those above an outgoing device. When that is over, they may sleep as before.
 *
 * That something stays awake for ever is not waited for: it does as long as it is counted
 * as used, or what is below it is.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/pci_regs.h>

#include "plu.h"

/*
 * In the default topology: behind a switch, whose ports have a driver, and on a
 * conventional bus, whose bridge has none
 */
#define BEHIND_SWITCH	"0000:00/05.0/00.0/00.0/00.0"
#define CONVENTIONAL	"0000:00/06.0/01.0"

static const char * const kept[] = { BEHIND_SWITCH, CONVENTIONAL };

/* In the new kernel, one ends while there is another. */
static const char * const sessions[ARRAY_SIZE(kept)] = { "awake", "awake-pci" };

static int read_count(const struct plu_device *d, const char *file)
{
	char count[16];

	if (plu_read_file(plu_sysfs(d, file), count, sizeof(count)) <= 0)
		plu_skip("%s: no %s (CONFIG_PM_ADVANCED_DEBUG?)", d->bdf, file);

	return atoi(count);
}

static int read_usage(const struct plu_device *d)
{
	return read_count(d, "power/runtime_usage");
}

/* How many that are awake are next below it? */
static int read_kids(const struct plu_device *d)
{
	return read_count(d, "power/runtime_active_kids");
}

static void allow_sleep(const struct plu_device *d)
{
	if (plu_write_file(plu_sysfs(d, "power/control"), "auto\n"))
		plu_bail("%s: cannot be allowed to sleep", d->bdf);
}

static bool has_status(const struct plu_device *d, const char *expected)
{
	char status[32];

	if (plu_read_file(plu_sysfs(d, "power/runtime_status"), status, sizeof(status)) <= 0)
		plu_bail("%s: no status", d->bdf);

	return !strcmp(status, expected);
}

static bool is_asleep(void *d)
{
	return has_status(d, "suspended\n");
}

static bool is_powered(const struct plu_device *d)
{
	unsigned int pos = plu_capability(d->bdf, PCI_CAP_ID_PM);

	return !pos || !(plu_config_read(d->bdf, pos + PCI_PM_CTRL, 2) & PCI_PM_CTRL_STATE_MASK);
}

/* It is used itself, or is above what is. */
static bool stays_awake(const struct plu_device *d, bool is_above_used)
{
	if ((read_usage(d) || (is_above_used && read_kids(d))) && has_status(d, "active\n") &&
	    is_powered(d))
		return true;
	plu_say("%s: used %d times, %d below it are awake, %spowered", d->bdf, read_usage(d),
		read_kids(d), is_powered(d) ? "" : "not ");

	return false;
}

/* --- A preserved device, and the bridges above it ---------------------------- */

/* The device, then the bridges from below; NULL at the end. */
static struct plu_device *nth_on_way(const char *path, unsigned int n)
{
	struct plu_device *d = plu_at(path);

	return n ? plu_upstream(d, n - 1) : d;
}

/* From a device on, or from the bridge above it on. */
static bool all_stay_awake(unsigned int from)
{
	struct plu_device *d;
	bool all = true;

	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		for (unsigned int n = from; (d = nth_on_way(kept[i], n)); n++)
			all &= stays_awake(d, n > from);

	return all;
}

static void allow_all_to_sleep(void)
{
	struct plu_device *d;

	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		for (unsigned int n = 0; (d = nth_on_way(kept[i], n)); n++)
			allow_sleep(d);
}

/* How often are all that are on a way used, together? */
static int usage_on_way(size_t i)
{
	struct plu_device *d;
	int usage = 0;

	for (unsigned int n = 0; (d = nth_on_way(kept[i], n)); n++)
		usage += read_usage(d);

	return usage;
}

static int noted_usage[ARRAY_SIZE(kept)];

static void note_usage(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		noted_usage[i] = usage_on_way(i);
}

static bool more(int is, int was)
{
	return is > was;
}

static bool same(int is, int was)
{
	return is == was;
}

static bool usage_is(bool (*so)(int is, int was))
{
	bool all = true;

	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		if (so(usage_on_way(i), noted_usage[i]))
			continue;
		plu_say("from %s on: used %d times, was used %d times", kept[i], usage_on_way(i),
			noted_usage[i]);
		all = false;
	}

	return all;
}

/* The device, and each bridge, and not just some of them? Of one of the ways. */
static int noted_each[8];

static void note_each(size_t i)
{
	struct plu_device *d;

	for (unsigned int n = 0; (d = nth_on_way(kept[i], n)); n++)
		noted_each[n] = read_usage(d);
}

static bool each_is_used_less(size_t i)
{
	struct plu_device *d;
	bool all = true;

	for (unsigned int n = 0; (d = nth_on_way(kept[i], n)); n++) {
		if (read_usage(d) < noted_each[n])
			continue;
		plu_say("%s: used %d times, was used %d times", d->bdf, read_usage(d),
			noted_each[n]);
		all = false;
	}

	return all;
}

/* --- The test ---------------------------------------------------------------- */

/* Without a driver, a device is used no longer, and the bridge above it need not be awake. */
static void let_sleep(const char *path)
{
	struct plu_device *d = plu_at(path);

	plu_gives(plu_unbind(d), 0, "one of the devices is unbound");
	plu_ok(plu_wait_for(is_asleep, d) && plu_wait_for(is_asleep, plu_upstream(d, 0)),
	       "it is put to sleep, and so is the bridge above it");
}

static void preserve(int session)
{
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		plu_preserve(session, plu_at(kept[i]));
}

static void kernel_a(void)
{
	int session;

	plu_find_devices(5);
	allow_all_to_sleep();
	note_usage();
	session = plu_session(sessions[0]);
	preserve(session);
	plu_check("two devices are outgoing");
	plu_ok(usage_is(more), "the bridges above are used for that");
	plu_ok(all_stay_awake(1), "they stay awake");
	plu_close_session(session);
	plu_ok(usage_is(same), "nothing is used for it when they are unpreserved");
	let_sleep(CONVENTIONAL);

	plu_gives(plu_bind(plu_at(CONVENTIONAL), PLU_DRIVER), 0, "it is bound again");
	plu_at(CONVENTIONAL)->fd = -1;
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		plu_preserve(plu_session(sessions[i]), plu_at(kept[i]));
	plu_ok(all_stay_awake(1), "they stay awake when the devices are preserved again");
	plu_check("two devices are outgoing");
}

static void without_drivers(void)
{
	unsigned int unbound = 0;

	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		unbound += !plu_unbind(plu_at(kept[i]));
	plu_ok(unbound == ARRAY_SIZE(kept), "the devices are unbound");
	plu_ok(all_stay_awake(0), "they stay awake without a driver");
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		unbound -= !plu_bind(plu_at(kept[i]), PLU_DRIVER);
	plu_ok(!unbound, "they are bound again");
}

static void kernel_b(void)
{
	int session[ARRAY_SIZE(kept)];

	plu_take_over();
	plu_check("two devices are incoming");
	allow_all_to_sleep();
	plu_ok(all_stay_awake(0), "all stay awake, though they are allowed to sleep");
	without_drivers();
	plu_ok(all_stay_awake(0), "all stay awake still");

	note_usage();
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		session[i] = plu_retrieve_session(sessions[i]);
		plu_retrieve(session[i], plu_at(kept[i]));
	}
	plu_ok(usage_is(same), "also when their files are retrieved");
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		note_each(i);
		plu_finish(session[i]);
		plu_ok(each_is_used_less(i), "nothing is used for one when it is finished");
	}
	plu_check("the devices are ordinary");
	let_sleep(CONVENTIONAL);
}

static const struct plu_test test = {
	.name = "awake",
	.stage = {
		{ .run = kernel_a, .plan = 9 },
		{ .run = kernel_b, .plan = 12 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
