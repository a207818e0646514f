// SPDX-License-Identifier: GPL-2.0
/*
 * There is no memory, at each place where some is asked for, while files of vfio-pci are
 * preserved, unpreserved and retrieved. What was begun is refused, nothing is left of it,
 * and it works once there is memory; but LUO does not ask for a file again: its device
 * stays incoming, and nobody can open it.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <libliveupdate.h>

#include "vlu.h"

#define SESSION		"vfio-faults"
#define QUIET		" loglevel=5"	/* what works well is not worth the time to show it */
#define ROUNDS		16

/* Without an end, for each file can be retrieved once; and without an IOMMU. */
#define NR_DEVICES	24

static const char *topology(void)
{
	static char text[2048];
	size_t len;

	len = snprintf(text, sizeof(text), "-device pcie-pci-bridge,id=pb,addr=3");
	for (int slot = 1; slot <= NR_DEVICES; slot++)
		len += snprintf(text + len, sizeof(text) - len, " -device edu,bus=pb,addr=%x",
				slot);

	return text;
}

static struct plu_device *d;
static int session;

static int preserve(void)
{
	return plu_try_preserve(session, d->fd, d->token);
}

static void settle_preserved(int ret)
{
	plu_settle_preserve(session, d, ret);
}

static void end_session(void)
{
	plu_close_session(session);
	session = plu_session(SESSION);
}

static int close_session(void)
{
	plu_close_session(session);

	return 0;
}

static void preserve_again(void)
{
	session = plu_session(SESSION);
	plu_preserve(session, d);
}

static const struct plu_attempt preserving = {
	.what = "a file is preserved",
	.call = preserve,
	.settle = settle_preserved,
	.undo = end_session,
	.rounds = ROUNDS,
}, unpreserving = {
	.what = "its session is closed",
	.call = close_session,
	.undo = preserve_again,
	.cannot_fail = true,
};

static void kernel_a(void)
{
	struct iommu *iommu;

	vlu_load_driver(true);
	plu_find_devices(NR_DEVICES);
	iommu = iommu_init("iommufd");
	for (d = plu.dev; d < plu.dev + plu.nr_devices; d++) {
		vlu_bind(d);
		vlu_open(d, iommu);
	}

	d = plu.dev;
	session = plu_session(SESSION);
	plu_fail_each(&preserving);
	plu_preserve(session, d);
	plu_fail_each(&unpreserving);

	for (d = plu.dev + 1; d < plu.dev + plu.nr_devices; d++)
		plu_preserve(session, d);
	plu_check("all devices are outgoing");
}

/*
 * Let the n-th allocation fail, or all from there on, each with a file of its own; return
 * how many times something was not as it should be.
 */
static unsigned int retrieve_each(void (*fail)(unsigned int nth), struct iommu *iommu)
{
	unsigned int nth = 0, refused = 0, wrong = 0;
	bool did_fail;
	int ret;

	do {
		d->incoming_session = session;
		fail(++nth);
		ret = plu_retrieve_fd(session, d->token);
		did_fail = plu_did_fail();
		refused += ret == -ENOMEM;
		wrong += ret < 0 && (ret != -ENOMEM || !did_fail);
		/* LUO had no memory itself, before it asked. */
		if (ret == -ENOMEM)
			ret = plu_retrieve_fd(session, d->token);
		wrong += ret < 0 && ret != -ENOMEM;
		if (ret >= 0) {
			d->fd = ret;
			vfio_pci_device_init_fd(d->bdf, iommu, d->fd);
		}
		wrong += vlu_try_open(d) != -EBUSY;
		wrong += !plu_is_as_expected();
		d++;
	} while (did_fail && d < plu.dev + plu.nr_devices);
	plu_say("%u allocations: %u times refused", nth - 1, refused);

	return wrong + did_fail + !refused;
}

static void kernel_b(void)
{
	struct iommu *iommu;

	vlu_load_driver(true);
	plu_take_over();
	for (d = plu.dev; d < plu.dev + plu.nr_devices; d++)
		vlu_bind(d);
	plu_check("all devices are incoming");
	session = plu_retrieve_session(SESSION);
	iommu = iommu_init("iommufd");
	/* LUO's own list of files, which it goes on without */
	plu_announce_possible("kernel/liveupdate/luo_file.c:");
	d = plu.dev;
	plu_gives(retrieve_each(plu_fail_nth, iommu), 0,
		  "retrieving a file is refused when any allocation fails");
	plu_gives(retrieve_each(plu_fail_from, iommu), 0, "and when all that follow do");
	for (; d < plu.dev + plu.nr_devices; d++)
		vlu_retrieve(session, d, iommu);
	plu_gives(vlu_try_finish(session), -EBUSY, "the session can't be finished then");
	for (d = plu.dev; d < plu.dev + plu.nr_devices; d++)
		if (d->fd < 0 && plu_remove(d))
			plu_bail("%s: cannot be removed", d->bdf);
	plu_check("those whose files are lost are removed");
	plu_finish(session);
	plu_check("the session can be finished now");
}

static const struct plu_test test = {
	.name = "vfio_faults",
	.qemu = topology,
	.stage = {
		{ .run = kernel_a, .plan = 2 * PLU_FAIL_RESULTS,
		  .cmdline = VLU_CMDLINE_NO_IOMMU QUIET },
		{ .run = kernel_b, .plan = 6, .cmdline = VLU_CMDLINE_NO_IOMMU QUIET },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
