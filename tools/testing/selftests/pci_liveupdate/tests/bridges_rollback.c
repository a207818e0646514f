// SPDX-License-Identifier: GPL-2.0
/*
 * There is no memory to preserve a device, or one of the bridges above it: it is refused,
 * and all is as before, for the bridges that were new and for those that other devices had
 * preserved already.
 */

#include <errno.h>
#include <string.h>

#include "plu.h"

#define SESSION	"bridges_rollback"

/* Two switches, one behind the other, and a bridge to conventional PCI behind these. */
static const char *topology(void)
{
	return "-device edu,addr=3\n"
		"-device pcie-root-port,id=rp,chassis=1,addr=4\n"
		"-device x3130-upstream,id=up1,bus=rp\n"
		"-device xio3130-downstream,id=dn1,bus=up1,addr=0,chassis=2\n"
		"-device xio3130-downstream,id=dn2,bus=up1,addr=1,chassis=3\n"
		"-device edu,bus=dn1\n"
		"-device x3130-upstream,id=up2,bus=dn2\n"
		"-device xio3130-downstream,id=dn3,bus=up2,addr=0,chassis=4\n"
		"-device xio3130-downstream,id=dn4,bus=up2,addr=1,chassis=5\n"
		"-device pci-testdev,bus=dn3\n"
		"-device pcie-pci-bridge,id=pb,bus=dn4\n"
		"-device edu,bus=pb,addr=1";
}

#define ON_ROOT_BUS	(&plu.dev[0])

/* Far more than any path has bridges. */
#define MANY		100

/* One at each level: no bridge above, three, five, and six. */
static struct plu_device *at_level(unsigned int level)
{
	struct plu_device *d;

	for (d = plu.dev; d < plu_end(); d++)
		if (plu_level(d) == level)
			return d;
	plu_skip("no device below %u bridges", level);
}

static unsigned int new_bridges(const struct plu_device *d)
{
	unsigned int n = 0;

	for (unsigned int level = 0; level < plu_level(d); level++)
		n += !plu_count_outgoing(plu_upstream(d, level));

	return n;
}

static void end_preserving(struct plu_device *d)
{
	int ret = plu_command(d, "unpreserve");

	if (ret)
		plu_bail("%s: cannot unpreserve it: %s", d->bdf, strerror(-ret));
	plu_set_outgoing(d, false);
}

/*
 * Let all allocations fail, then all but the first, and so on, until none fails. Return
 * how often it was refused, or 0 if anything was not as it should be.
 */
static unsigned int preserve_until_it_works(struct plu_device *d, bool (*is_same)(void))
{
	unsigned int refused = 0;
	bool expected = true, did_fail;
	int ret;

	for (unsigned int n = 1; n < MANY; n++) {
		plu_fail_from(n);
		ret = plu_command(d, "preserve");
		did_fail = plu_did_fail();
		if (!ret)
			plu_set_outgoing(d, true);
		if (!did_fail)
			return expected && !ret ? refused : 0;

		/* It is not refused if what failed was tried again in another way. */
		if (!ret) {
			end_preserving(d);
		} else {
			refused++;
			expected &= ret == -ENOMEM;
		}
		expected &= is_same();
	}

	return 0;
}

static void fail_at_each_level(struct plu_device *d, const char *when)
{
	unsigned int bridges = new_bridges(d), refused;

	refused = preserve_until_it_works(d, plu_is_as_expected);
	plu_say("refused %u times", refused);
	/* One bridge may take memory for some of those above it, too. */
	plu_ok(refused,
	       "%u bridges, %u of them new, %s: refused without a trace", plu_level(d),
	       bridges, when);
	plu_check("and preserved when there is memory");
}

static bool is_not_looked_at(void)
{
	return true;
}

static struct plu_device *repeated;

static void preserve_once(void)
{
	preserve_until_it_works(repeated, is_not_looked_at);
	end_preserving(repeated);
}

static void repeat(struct plu_device *d)
{
	repeated = d;
	plu_find_leaks("refused, preserved and unpreserved", preserve_once, 100);
	plu_check("nor anything else");
}

static void fail_and_preserve(void)
{
	struct plu_device *upper, *lower, *lowest, *d;
	int session;

	plu_find_devices(4);
	upper = at_level(3);
	lower = at_level(5);
	lowest = at_level(6);
	for (d = plu.dev; d < plu_end(); d++)
		d->fd = plu_open(d);

	session = plu_session(SESSION);
	plu_preserve(session, ON_ROOT_BUS);
	plu_check("a device on the root bus is outgoing, and no bridge");

	fail_at_each_level(upper, "with none preserved");
	fail_at_each_level(lower, "with some preserved for one device");
	fail_at_each_level(lowest, "with some preserved for two");
	end_preserving(lower);
	end_preserving(upper);
	plu_check("the last one has all its bridges still");
	end_preserving(lowest);
	plu_check("nothing is left of them");

	fail_at_each_level(lowest, "with none preserved");
	fail_at_each_level(upper, "with some preserved for one below");
	end_preserving(lowest);
	end_preserving(upper);
	repeat(lowest);

	for (d = plu.dev; d < plu_end(); d++)
		plu_set_cookie(d, 0xb01ba00 + d->token);
	plu_preserve(session, upper);
	plu_preserve(session, lowest);
	plu_check("two are outgoing");
}

static void retrieve(void)
{
	struct plu_device *d;
	bool same = true;
	int session;

	plu_take_over();
	plu_check("these are incoming, and all their bridges");
	session = plu_retrieve_session(SESSION);
	for (d = plu.dev; d < plu_end(); d++) {
		if (d->incoming != PLU_INCOMING)
			continue;
		plu_retrieve(session, d);
		same &= plu_file_is(d->fd, d, d->handed_cookie);
	}
	plu_ok(same, "each is retrieved, works, and has the cookie");
	plu_finish(session);
	plu_check("nothing is left");
}

static const struct plu_test test = {
	.name = "bridges_rollback",
	.qemu = topology,
	.stage = {
		{ .run = fail_and_preserve, .plan = 16 },
		{ .run = retrieve, .plan = 3 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
