// SPDX-License-Identifier: GPL-2.0
/*
 * There is no memory to read a hand-over, or to make room for many records. A KUnit suite
 * of the kernel tries that, for the one is done at boot, and the other takes hundreds of
 * devices; here it runs with allocations that do fail.
 */

#include <string.h>

#include "plu.h"

#define SUITE	"pci_liveupdate_faults"
#define FILES	"/sys/kernel/debug/kunit/" SUITE
/* What is said of each case, twice: with one allocation failing, and with many. */
#define NR_LINES	(2 * 4)

static const char *topology(void)
{
	return "-device edu,addr=3\n"
		"-device pcie-root-port,id=rp,chassis=1,addr=4\n"
		"-device x3130-upstream,id=up,bus=rp\n"
		"-device xio3130-downstream,id=dn,bus=up,addr=0,chassis=2\n"
		"-device edu,bus=dn";
}

static void run_suite(void)
{
	int ret = plu_write_file(FILES "/run", "1");

	if (ret)
		plu_bail(FILES "/run: %s", strerror(-ret));
}

static bool has_passed(void)
{
	static char results[16384];

	if (plu_read_file(FILES "/results", results, sizeof(results)) <= 0)
		plu_bail(FILES "/results: cannot read");

	return strstr(results, "\nok 1 " SUITE) && !strstr(results, "not ok");
}

static void run(void)
{
	plu_find_devices(2);
	if (!plu_exists(FILES))
		plu_skip(FILES " is not there (CONFIG_PCI_LIVEUPDATE_KUNIT_TEST?)");

	/* None of this process, but what is needed for that. */
	plu_fail_nth(0);
	run_suite();
	plu_ok(has_passed(), "the suite " SUITE " passes where allocations fail");
	/* A list of devices need not be in one piece: one failure alone does not refuse any. */
	plu_ok(plu_times_said(" times refused") == NR_LINES &&
	       plu_times_said(", 0 times refused") == 1 &&
	       plu_says_once(" allocations failed, each alone, 0 times refused"),
	       "in each case some did, and what was tried was refused");

	plu_find_leaks("what is refused", run_suite, 16);
	plu_ok(has_passed(), "the suite passes each time");
	plu_check("nothing of it is left");
}

static const struct plu_test test = {
	.name = "faults_kunit",
	.qemu = topology,
	.stage = {
		/* What the suite says is not for who counts the results of this test. */
		{
			.run = run, .plan = 5,
			.cmdline = "kunit.enable=1 kunit.autorun=0 loglevel=5",
		},
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
