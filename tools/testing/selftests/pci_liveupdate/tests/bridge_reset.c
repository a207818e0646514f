// SPDX-License-Identifier: GPL-2.0
/*
 * Who resets a bridge through sysfs, or all that is below it, takes bus numbers and bus
 * mastering from what is preserved there. So that is refused for each bridge above an
 * outgoing or an incoming device, the kernel says why, and nothing has changed. Other
 * bridges can be reset, and so can these when nothing below is preserved any more.
 */

#include <errno.h>
#include <string.h>

#include "plu.h"

/*
 * In the default topology: behind a port of a switch, behind the other port, behind a root
 * port, and on a conventional bus
 */
#define KEPT		"0000:00/05.0/00.0/00.0/00.0"
#define BESIDE		"0000:00/05.0/00.0/01.0/00.0"
#define OTHER		"0000:00/04.0/00.0"
#define CONVENTIONAL	"0000:00/06.0/01.0"

#define SESSION		"bridge_reset"
#define PCI_SESSION	"bridge_reset-pci"

#define REFUSED		"cannot be reset: "
#define OUTGOING	REFUSED "a device below it is preserved for the next kernel"
#define INCOMING	REFUSED "a device below it was preserved by the previous kernel"

static const char * const files[] = { "reset", "reset_subordinate" };

/* How many of these files does a bridge have? */
static unsigned int count_resets(const struct plu_device *bridge)
{
	unsigned int n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		n += plu_exists(plu_sysfs(bridge, files[i]));

	return n;
}

static int reset(const struct plu_device *bridge, const char *file)
{
	return plu_write_file(plu_sysfs(bridge, file), "1\n");
}

/* Is each reset that there is refused, for this reason, and nothing changes? */
static bool refuses(const struct plu_device *bridge, const char *why)
{
	bool ok = true;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		struct plu_routing before = plu_read_routing(bridge->bdf), after;
		unsigned int said = plu_times_said_of(bridge, "%s", why);
		int ret;

		if (!plu_exists(plu_sysfs(bridge, files[i])))
			continue;
		ret = reset(bridge, files[i]);
		said = plu_times_said_of(bridge, "%s", why) - said;
		after = plu_read_routing(bridge->bdf);
		if (ret == -EBUSY && said == 1 && before.numbers == after.numbers &&
		    before.bus_master && after.bus_master)
			continue;
		plu_say("%s: %s gives %d, and says why %u times", bridge->bdf, files[i], ret,
			said);
		ok = false;
	}

	return ok;
}

/* For each bridge above a device? */
static bool all_refuse(const char *path, const char *why)
{
	const struct plu_device *d = plu_at(path);
	bool ok = true;

	for (unsigned int level = 0; level < plu_level(d); level++)
		ok &= refuses(plu_upstream(d, level), why);

	return ok;
}

/* What asks for no reset gives what it gives for any device. */
static bool takes_no_other(const char *path)
{
	const struct plu_device *d = plu_at(path);
	bool ok = true;

	for (unsigned int level = 0; level < plu_level(d); level++) {
		const struct plu_device *bridge = plu_upstream(d, level);
		unsigned int said = plu_times_said_of(bridge, REFUSED);

		if (plu_exists(plu_sysfs(bridge, "reset")))
			ok &= plu_write_file(plu_sysfs(bridge, "reset"), "0\n") == -EINVAL &&
			      plu_write_file(plu_sysfs(bridge, "reset"), "2\n") == -EINVAL;
		ok &= !plu_write_file(plu_sysfs(bridge, "reset_subordinate"), "0\n") &&
		      plu_times_said_of(bridge, REFUSED) == said;
	}

	return ok;
}

static bool can_be_reset(const struct plu_device *bridge, const char *file)
{
	unsigned int said = plu_times_said_of(bridge, REFUSED);
	int ret = reset(bridge, file);

	if (ret)
		plu_say("%s: %s gives %d", bridge->bdf, file, ret);

	return !ret && plu_times_said_of(bridge, REFUSED) == said;
}

/* With what is below, which is then put back to what it was. */
static bool allows(const char *path, unsigned int level)
{
	return can_be_reset(plu_upstream(plu_at(path), level), "reset_subordinate");
}

static bool all_allow(const char *path)
{
	const struct plu_device *d = plu_at(path);
	bool ok = true;

	for (unsigned int level = 0; level < plu_level(d); level++)
		ok &= allows(path, level);

	return ok;
}

/* By itself. Nobody puts back what is below. */
static bool allows_own(const char *path)
{
	return can_be_reset(plu_upstream(plu_at(path), 0), "reset");
}

static bool keeps_bus_mastering(const char *path, const char *why)
{
	const char *bdf = plu_at(path)->bdf;
	bool ok;

	plu_set_bus_master(bdf, true);
	ok = all_refuse(path, why);

	return ok && plu_is_bus_master(bdf);
}

static void kernel_a(void)
{
	int second;

	plu_find_devices(5);
	plu_ok(count_resets(plu_upstream(plu_at(KEPT), 0)) == ARRAY_SIZE(files) &&
	       count_resets(plu_upstream(plu_at(CONVENTIONAL), 0)) == ARRAY_SIZE(files),
	       "bridges can be reset by themselves, and with what is below");
	plu_preserve(plu_session(SESSION), plu_at(KEPT));
	second = plu_session(PCI_SESSION);
	plu_preserve(second, plu_at(CONVENTIONAL));
	plu_check("a device behind a switch is outgoing, and one on a conventional bus");

	plu_ok(keeps_bus_mastering(KEPT, OUTGOING), "nothing up to the root port can be reset");
	plu_ok(keeps_bus_mastering(CONVENTIONAL, OUTGOING),
	       "nor can the bridge to the conventional bus");
	plu_ok(takes_no_other(KEPT) && takes_no_other(CONVENTIONAL),
	       "what is not asking for a reset gives what it always does");
	plu_check("the devices are outgoing, and work");
	plu_ok(allows(BESIDE, 0) && all_allow(OTHER),
	       "bridges with nothing of that below can be reset");
	plu_check("all is as it was");

	plu_close_session(second);
	plu_ok(all_allow(CONVENTIONAL), "so can one when what is below is unpreserved");
	plu_preserve(plu_session(PCI_SESSION), plu_at(CONVENTIONAL));
	plu_check("it is outgoing again, and works");
}

static void finish(const char *name, const char *path)
{
	int session = plu_retrieve_session(name);

	plu_retrieve(session, plu_at(path));
	plu_finish(session);
	plu_close_session(session);
}

static void kernel_b(void)
{
	plu_take_over();
	plu_check("the devices are incoming");
	plu_ok(keeps_bus_mastering(KEPT, INCOMING), "nothing up to the root port can be reset");
	plu_ok(keeps_bus_mastering(CONVENTIONAL, INCOMING),
	       "nor can the bridge to the conventional bus");
	plu_check("the devices are incoming, and work");
	plu_ok(allows(BESIDE, 0) && all_allow(OTHER),
	       "bridges with nothing of that below can be reset");

	finish(SESSION, KEPT);
	plu_ok(all_allow(KEPT), "so can those above a device that is finished");
	plu_ok(all_refuse(CONVENTIONAL, INCOMING), "those above the other cannot");
	plu_check("one device is finished and works, the other is incoming");
	finish(PCI_SESSION, CONVENTIONAL);
	plu_ok(all_allow(CONVENTIONAL), "they can when that is finished, too");
	plu_check("both are ordinary, and work");
	plu_ok(allows_own(KEPT) && allows_own(CONVENTIONAL),
	       "bridges above them can be reset by themselves");
}

static const struct plu_test test = {
	.name = "bridge_reset",
	.stage = {
		{ .run = kernel_a, .plan = 10 },
		{ .run = kernel_b, .plan = 11 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
