// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of PCI Live Update: the stages of a test, and their results.
 *
 * Every result goes through this file, since kselftest.h counts for each file on
 * its own.
 */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/reboot.h>
#include <sys/reboot.h>
#include <unistd.h>

#include "plu.h"

/* How many there are in the table. */
static unsigned int nr_listed(const struct plu_test *test)
{
	unsigned int n = 0;

	while (n < PLU_MAX_STAGES && test->stage[n].run)
		n++;

	return n;
}

static unsigned int nr_stages(const struct plu_test *test)
{
	return test->nr_stages ? test->nr_stages() : nr_listed(test);
}

static const struct plu_stage *find_stage(const struct plu_test *test, unsigned int number)
{
	unsigned int last = nr_listed(test);

	return &test->stage[(number < last ? number : last) - 1];
}

bool plu_ok(bool ok, const char *fmt, ...)
{
	char what[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);

	ksft_test_result(ok, "%s\n", what);

	return ok;
}

bool plu_gives(int ret, int expected, const char *fmt, ...)
{
	char what[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);

	if (ret != expected)
		plu_say("gives %d, not %d", ret, expected);

	return plu_ok(ret == expected, "%s", what);
}

void plu_bail(const char *fmt, ...)
{
	char why[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, sizeof(why), fmt, args);
	va_end(args);

	ksft_exit_fail_msg("%s\n", why);
}

void plu_skip(const char *fmt, ...)
{
	char why[256], name[64];
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, sizeof(why), fmt, args);
	va_end(args);

	if (plu_cmdline("plu.test", name, sizeof(name)))
		plu_bail("%s", why);

	ksft_exit_skip("%s\n", why);
}

void plu_does_not_apply(const char *fmt, ...)
{
	char why[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, sizeof(why), fmt, args);
	va_end(args);

	ksft_exit_skip("%s\n", why);
}

void plu_say(const char *fmt, ...)
{
	char what[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);

	ksft_print_msg("%s\n", what);
}

/*
 * Leave a process behind that knows, and has open, what the stage does. The sessions live as
 * long as somebody has them open.
 */
static void leave_behind(void (*call)(void))
{
	pid_t pid = fork();

	if (pid < 0)
		plu_bail("fork: %s", strerror(errno));
	if (pid > 0)
		return;

	setsid();
	close(STDIN_FILENO);
	close(STDOUT_FILENO);
	close(STDERR_FILENO);
	if (chdir("/"))
		exit(EXIT_FAILURE);
	if (call)
		call();
	for (;;)
		poll(NULL, 0, -1);
}

#define HOLD	"pci_liveupdate_hold"
#define HELD	"/sys/module/" HOLD "/parameters/held"
#define PASSED	"/sys/module/" HOLD "/parameters/passed"

static void (*when_written)(void);

void plu_when_written(void (*call)(void))
{
	int ret = plu_load_module("external/" HOLD, "");

	if (ret)
		plu_bail("the jump cannot be held up: %s", strerror(-ret));
	when_written = call;
}

static bool is_written(void)
{
	char value[8];

	if (plu_read_file(HELD, value, sizeof(value)) <= 0)
		plu_bail("cannot see whether the jump is held up");

	return value[0] == '1';
}

/*
 * Whoever runs the test waits until nobody can write results any more, hence into the
 * log. When the machine is going to jump is not known; the module waits for so long only.
 */
static void wait_until_written(void)
{
	if (open("/dev/kmsg", O_WRONLY) != STDIN_FILENO ||
	    dup(STDIN_FILENO) != STDOUT_FILENO || dup(STDIN_FILENO) != STDERR_FILENO)
		exit(EXIT_FAILURE);
	while (!is_written())
		poll(NULL, 0, 20);
	when_written();
	if (plu_write_file(PASSED, "1\n"))
		plu_bail("cannot let the jump go on");
}

static void run_stage(const struct plu_test *test, unsigned int number)
{
	const struct plu_stage *stage = find_stage(test, number);

	plu.stage = number;
	ksft_print_header();
	if (!test->foreign && !plu_exists(PLU_DEBUGFS))
		plu_skip("no %s: not mounted, or no CONFIG_PCI_LIVEUPDATE",
			 PLU_DEBUGFS);
	ksft_set_plan(stage->plan);

	stage->run();

	if (number < nr_stages(test) && !stage->hands_nothing_over) {
		plu_hand_over();
		if (!ksft_get_fail_cnt()) {
			leave_behind(NULL);
			if (when_written)
				leave_behind(wait_until_written);
		}
	}
	ksft_finished();
}

int plu_reboot(void)
{
	return reboot(LINUX_REBOOT_CMD_KEXEC) ? -errno : 0;
}

/*
 * To stop a processor before the jump, the kernel waits until it has said that it is about
 * to halt. An emulated one may be held up between the two until there is something else
 * where its next instruction was, and then it resets the machine. One that is offline
 * has halted long before.
 */
static void halt_processors(void)
{
	char path[64];

	/* The first one jumps. */
	for (unsigned int cpu = 1;; cpu++) {
		snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%u/online", cpu);
		if (plu_write_file(path, "0\n"))
			return;
	}
}

static int end_stage(const struct plu_stage *stage)
{
	int ret;

	/* What is done last may have to be so shortly before the jump. */
	halt_processors();
	if (stage->before_jump)
		stage->before_jump();
	ret = plu_reboot();
	fprintf(stderr, "cannot jump: %s\n", strerror(-ret));

	return EXIT_FAILURE;
}

static int print_usage(const struct plu_test *test)
{
	fprintf(stderr, "usage: %s [-s STAGE | -n | -q | -c STAGE | -k STAGE | -j STAGE]\n",
		test->name);
	return EXIT_FAILURE;
}

int plu_main(int argc, char *argv[], const struct plu_test *test)
{
	unsigned int number = 1;
	int opt, action = 's';

	while ((opt = getopt(argc, argv, "s:nqc:k:j:")) != -1) {
		if (opt == '?')
			return print_usage(test);
		action = opt;
		if (opt != 'n' && opt != 'q')
			number = atoi(optarg);
	}
	plu.also = test->also;
	if (optind != argc || !number || number > nr_stages(test))
		return print_usage(test);

	switch (action) {
	case 's':
		run_stage(test, number);
		break;
	case 'j':
		return end_stage(find_stage(test, number));
	case 'n':
		printf("%u\n", nr_stages(test));
		break;
	case 'q':
		if (test->qemu)
			printf("%s\n", test->qemu());
		break;
	case 'c':
		if (find_stage(test, number)->cmdline)
			printf("%s\n", find_stage(test, number)->cmdline);
		break;
	case 'k':
		if (find_stage(test, number)->kernel)
			printf("%s\n", find_stage(test, number)->kernel);
		break;
	}

	return EXIT_SUCCESS;
}
