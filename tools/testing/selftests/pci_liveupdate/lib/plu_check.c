// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of PCI Live Update: everything that the kernel shows, compared with what is
 * expected.
 */

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plu.h"

static unsigned int differences;

static void __printf(1, 2) differs(const char *fmt, ...)
{
	char what[256];
	va_list args;

	if (differences++ > 20)
		return;

	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	plu_say("%s", what);
}

const char *plu_status(const char *key)
{
	static char value[64];
	char text[1024], line[64];

	snprintf(line, sizeof(line), "%s: ", key);
	value[0] = '\0';
	if (plu_read_file(PLU_DEBUGFS "/status", text, sizeof(text)) > 0)
		plu_value(text, line, value, sizeof(value));

	return value;
}

__u64 plu_status_address(const char *key)
{
	return strtoull(plu_status(key), NULL, 16);
}

static bool is_handover(const char *state)
{
	return !strcmp(plu.handover, state);
}

static bool handover_is_expected(void *arg)
{
	return is_handover(plu_status("handover"));
}

bool plu_wait_for_handover(void)
{
	return plu_wait_for(handover_is_expected, NULL);
}

static void check_status(const char *key, const char *expected)
{
	const char *is = plu_status(key);

	if (strcmp(is, expected))
		differs("status: %s is '%s', not '%s'", key, is, expected);
}

static void check_count(const char *key, unsigned int expected)
{
	char number[16];

	snprintf(number, sizeof(number), "%u", expected);
	check_status(key, number);
}

static void check_address(const char *key, bool expected)
{
	const char *is = plu_status(key);

	if (strncmp(is, "0x", 2) || !plu_status_address(key) == expected)
		differs("status: %s is '%s', %sexpected", key, is,
			expected ? "an address is " : "0x0 ");
}

static bool is_unreadable(void)
{
	static const char unreadable[] = "unreadable ";

	return !strncmp(plu.handover, unreadable, sizeof(unreadable) - 1);
}

/* Why an incoming device or bridge is incoming still. */
static const char *expected_state(const struct plu_device *d, unsigned int refcount)
{
	if (!refcount)
		return "finished";
	if (d->absent)
		return "absent";
	if (d->is_bridge)
		return "bridge";

	if (d->taken_over)
		return "taken-over";

	return d->retrieved ? "retrieved" : "waiting";
}

/*
 * The line of a device or bridge in a list, or NULL if it must not be there. What follows
 * for people is not compared.
 */
static const char *expected_line(const struct plu_device *d, bool incoming)
{
	const char *driver = d->absent ? NULL : d->driver;
	static char line[160];
	char rest[64] = "\n";
	unsigned int refcount;

	if (incoming) {
		refcount = plu_incoming_refcount(d);
		if (!refcount && !plu_is_recorded_as_finished(d))
			return NULL;
	} else {
		refcount = plu_count_outgoing(d);
		if (!refcount)
			return NULL;
	}

	if (incoming)
		snprintf(rest, sizeof(rest), " finished=%s stopped=%s state=%s # ",
			 refcount ? "no" : "yes", d->stopped && !d->absent ? "yes" : "no",
			 expected_state(d, refcount));
	snprintf(line, sizeof(line), "%s refcount=%u driver=%s%s", d->bdf, refcount,
		 driver ?: "none", rest);

	return line;
}

/* Return how many lines are expected for these. */
static unsigned int check_lines(const char *file, const char *text, bool incoming,
				const struct plu_device *d, const struct plu_device *end)
{
	unsigned int expected = 0;

	for (; d < end; d++) {
		const char *line = expected_line(d, incoming);
		const char *found;

		if (!line)
			continue;
		expected++;
		found = strstr(text, line);
		if (!found || (found > text && found[-1] != '\n'))
			differs("%s: no line '%.*s'", file, (int)strlen(line) - 1, line);
	}

	return expected;
}

static char list[(PLU_MAX_DEVICES + PLU_MAX_BRIDGES) * 320];

static int list_result;

/*
 * Read the list. Whoever resets a device, or reads the list as well, has it locked for a
 * while, so that its driver can't be told.
 */
static bool nobody_is_busy(void *path)
{
	list_result = plu_read_file(path, list, sizeof(list));

	return list_result < 0 || !strstr(list, " driver=busy");
}

/* Every line that is expected, once, and no other. Return how many. */
static unsigned int check_list(const char *file, bool incoming)
{
	unsigned int lines = 0, expected = 0;
	char path[64];

	snprintf(path, sizeof(path), PLU_DEBUGFS "/%s", file);
	plu_wait_for(nobody_is_busy, path);
	if (list_result < 0) {
		differs("%s: %s", path, strerror(-list_result));
		return 0;
	}
	for (const char *c = list; *c; c++)
		lines += *c == '\n';

	/* Once nothing is left of the hand-over, there is nothing to list. */
	if (!incoming || is_handover("read")) {
		expected += check_lines(file, list, incoming, plu.dev, plu_end());
		expected += check_lines(file, list, incoming, plu.bridge,
					plu_bridges_end());
	}

	if (lines != expected)
		differs("%s: %u lines instead of %u:\n%s", file, lines, expected, list);

	return expected;
}

bool plu_is_incoming(const struct plu_device *d)
{
	char line[320];

	if (plu_read_file(PLU_DEBUGFS "/incoming", list, sizeof(list)) < 0 ||
	    !plu_value(list, d->bdf, line, sizeof(line)))
		return false;

	return strstr(line, " finished=no");
}

/* If anything was handed over, nothing has moved. */
static void check_address_is_kept(const struct plu_device *d)
{
	__u32 numbers;

	if (!plu.keep_buses || !d->handed_bdf[0])
		return;
	if (strcmp(d->handed_bdf, d->bdf))
		differs("%s: was %s in the previous kernel", d->bdf, d->handed_bdf);
	if (d->absent || !d->handed.numbers)
		return;
	numbers = plu_bus_numbers(d->bdf);
	if (numbers != d->handed.numbers)
		differs("%s: its bus numbers are 0x%06x and were 0x%06x", d->bdf, numbers,
			d->handed.numbers);
}

static void check_file(const struct plu_device *d)
{
	char text[512], is[64], expected[64];
	const char *state;
	int fd, ret;

	fd = plu_open(d);
	if (d->absent || !d->driver || strcmp(d->driver, PLU_DRIVER)) {
		if (fd >= 0) {
			differs("%s: has a device file", d->bdf);
			close(fd);
		}
		return;
	}
	if (fd < 0) {
		differs("%s: %s: %s", d->bdf, plu_node(d), strerror(-fd));
		return;
	}
	ret = plu_read_fd(fd, text, sizeof(text));
	close(fd);
	if (ret < 0) {
		differs("%s: cannot read: %s", d->bdf, strerror(-ret));
		return;
	}

	if (d->incoming == PLU_INCOMING)
		state = d->outgoing ? "incoming,outgoing" : "incoming";
	else
		state = d->outgoing ? "outgoing" : "ordinary";
	snprintf(expected, sizeof(expected), "%04x", d->vendor);
	if (!plu_value(text, "vendor ", is, sizeof(is)) || strcmp(is, expected))
		differs("%s: vendor is not %s:\n%s", d->bdf, expected, text);
	snprintf(expected, sizeof(expected), "%04x", d->device);
	if (!plu_value(text, "device ", is, sizeof(is)) || strcmp(is, expected))
		differs("%s: device is not %s:\n%s", d->bdf, expected, text);
	if (!plu_value(text, "state ", is, sizeof(is)) || strcmp(is, state))
		differs("%s: state is not '%s':\n%s", d->bdf, state, text);
	if (!plu_value(text, "cookie ", is, sizeof(is)) ||
	    strtoull(is, NULL, 16) != d->cookie)
		differs("%s: cookie is not 0x%llx:\n%s", d->bdf,
			(unsigned long long)d->cookie, text);
	if (!plu_value(text, "bdf ", is, sizeof(is)) || strcmp(is, d->bdf))
		differs("%s: says it is another:\n%s", d->bdf, text);
	if (!plu_value(text, "alive ", is, sizeof(is)) || strcmp(is, "yes"))
		differs("%s: is not alive:\n%s", d->bdf, text);
}

static void check_messages(const struct plu_device *d)
{
	for (int m = 0; m < PLU_NR_MESSAGES; m++)
		if (plu_said(d, m) != d->messages[m])
			differs("%s: the kernel said '%s' %u times, not %u", d->bdf,
				plu_messages[m], plu_said(d, m), d->messages[m]);
}

/* How many devices and bridges are in the list of the incoming as finished? */
static unsigned int count_finished(const struct plu_device *d, const struct plu_device *end)
{
	unsigned int n = 0;

	for (; d < end; d++)
		n += plu_is_recorded_as_finished(d);

	return n;
}

/* How much does the kernel find that does not fit together? One thing a line. */
static unsigned int count_problems(void)
{
	static const char path[] = PLU_DEBUGFS "/check";
	unsigned int n = 0;
	int ret;

	/* A kernel of it that is older has no such file. */
	if (!plu_exists(path))
		return 0;

	ret = plu_read_file(path, list, sizeof(list));
	if (ret <= 0)
		plu_bail("%s: cannot be read: %s", path, strerror(-ret));
	if (!strcmp(list, "ok\n"))
		return 0;
	plu_say("the kernel finds:\n%s", list);
	for (const char *c = list; *c; c++)
		n += *c == '\n';

	return n;
}

bool plu_is_consistent(void)
{
	return !count_problems();
}

/* How many records count less than is there, or a device twice? Others may be missing. */
static unsigned int count_misfits(void)
{
	struct plu_device *d;
	unsigned int n = 0;

	for (d = plu.dev; d < plu_end(); d++)
		n += d->incoming == PLU_INCOMING && !d->absent &&
		     plu_incoming_refcount(d) != 1;
	for (d = plu.bridge; d < plu_bridges_end(); d++)
		n += plu_incoming_refcount(d) &&
		     plu_incoming_refcount(d) < plu_count_incoming(d, PLU_INCOMING);

	return n;
}

bool plu_is_as_expected(void)
{
	unsigned int incoming, finished = 0;
	struct plu_device *d;

	differences = 0;
	check_count("outgoing", check_list("outgoing", false));
	incoming = check_list("incoming", true);
	if (incoming)
		finished = count_finished(plu.dev, plu_end()) +
			   count_finished(plu.bridge, plu_bridges_end());
	check_count("incoming", incoming - finished);
	check_count("finished", finished);
	check_status("version", "2");
	check_status("handover", plu.handover);
	check_address("outgoing_address", plu.nr_outgoing_files);
	check_status("keep_bridges", is_unreadable() ? "yes" : "no");
	check_status("keep_buses", is_unreadable() || plu.keep_buses ? "yes" : "no");
	check_status("frozen", "no");
	if (count_problems() != count_misfits())
		differs("check: not what is expected");

	plu_read_log();
	for (d = plu.dev; d < plu_end(); d++) {
		check_address_is_kept(d);
		check_file(d);
		check_messages(d);
	}
	for (d = plu.bridge; d < plu_bridges_end(); d++) {
		check_address_is_kept(d);
		check_messages(d);
	}

	return !differences;
}

bool plu_check(const char *fmt, ...)
{
	char what[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);

	return plu_ok(plu_is_as_expected(), "%s", what);
}

int plu_start_reader(void)
{
	static const char * const files[] = { "outgoing", "incoming", "status" };
	char path[64];
	int pid = fork();

	if (pid < 0)
		plu_bail("fork: %s", strerror(errno));
	if (pid > 0)
		return pid;

	for (size_t i = 0;; i = (i + 1) % ARRAY_SIZE(files)) {
		snprintf(path, sizeof(path), PLU_DEBUGFS "/%s", files[i]);
		if (plu_read_file(path, list, sizeof(list)) < 0)
			exit(EXIT_FAILURE);
	}
}

bool plu_stop_reader(int pid)
{
	int status;

	/* It ends earlier only if it cannot read. */
	if (kill(pid, SIGKILL) || waitpid(pid, &status, 0) != pid)
		plu_bail("the reader: %s", strerror(errno));

	return WIFSIGNALED(status);
}

bool plu_file_is(int fd, const struct plu_device *d, __u64 cookie)
{
	char text[512], is[64];
	int ret;

	ret = plu_read_fd(fd, text, sizeof(text));
	if (ret >= 0 &&
	    plu_value(text, "bdf ", is, sizeof(is)) && !strcmp(is, d->bdf) &&
	    plu_value(text, "alive ", is, sizeof(is)) && !strcmp(is, "yes") &&
	    plu_value(text, "cookie ", is, sizeof(is)) &&
	    strtoull(is, NULL, 16) == cookie)
		return true;

	plu_say("a file for %s says (%d):\n%s", d->bdf, ret, text);

	return false;
}
