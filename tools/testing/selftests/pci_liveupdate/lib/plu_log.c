// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of PCI Live Update: what the kernel says, in its log.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plu.h"

const char * const plu_messages[PLU_NR_MESSAGES] = {
	[PLU_MSG_OUTGOING] = "preserved for the next kernel",
	[PLU_MSG_NOT_OUTGOING] = "no longer preserved for the next kernel",
	[PLU_MSG_PRESERVED] = "preserved by the previous kernel",
	[PLU_MSG_FINISHED] = "finished",
	[PLU_MSG_REMOVED_OUTGOING] = "removed while preserved for the next kernel",
	[PLU_MSG_REMOVED_INCOMING] = "removed before it was finished",
	[PLU_MSG_CANNOT_UNPRESERVE] = "cannot unpreserve: not preserved",
	[PLU_MSG_CANNOT_FINISH] = "cannot finish: not incoming",
	[PLU_MSG_LEFT_PRESERVED] = "its driver did not unpreserve it",
};

static void count_message(const char *text, void *arg)
{
	static const char mark[] = ": liveupdate: ";
	const size_t bdf_len = PLU_BDF_SIZE - 1;
	const char *what = strstr(text, mark);
	char bdf[PLU_BDF_SIZE];
	struct plu_device *d;
	size_t len;

	if (!what || what < text + bdf_len)
		return;
	memcpy(bdf, what - bdf_len, bdf_len);
	bdf[bdf_len] = '\0';
	d = plu_find(bdf);
	if (!d)
		return;

	what += sizeof(mark) - 1;
	len = plu_until(what, '\n');
	for (int m = 0; m < PLU_NR_MESSAGES; m++)
		if (len == strlen(plu_messages[m]) && !strncmp(what, plu_messages[m], len))
			d->said[m]++;
}

/* A record begins with its priority, and that of the kernel's own is below 8. */
static bool is_by_kernel(const char *record)
{
	return atoi(record) < 8;
}

static int open_log(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);

	if (fd < 0)
		plu_bail("/dev/kmsg: %s", strerror(errno));

	return fd;
}

/*
 * A message that another processor has not written to its end yet hides those after it:
 * say something that nobody prints, and read until that comes.
 */
static const char *say_up_to_here(void)
{
	static const char what[] = "<15>plu: up to here: ";
	static unsigned int number;
	static char mark[64];

	snprintf(mark, sizeof(mark), "%s%d.%u\n", what, getpid(), number++);
	plu_write_file("/dev/kmsg", mark);

	return mark + strlen("<15>");
}

/* Not for ever: the kernel may be told to drop what userspace says. */
#define PATIENCE	300	/* tenths of a second */

/* Go through what the kernel has said, up to now. */
static void read_messages(int fd, void (*look)(const char *text, void *arg), void *arg)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	const char *mark = say_up_to_here();
	static char record[8192];
	unsigned int waited = 0;
	ssize_t len;
	char *text;

	for (;;) {
		len = read(fd, record, sizeof(record) - 1);
		if (len < 0 && errno == EPIPE)
			plu_bail("messages of the kernel were lost");
		if (len < 0 && errno == EAGAIN && waited++ < PATIENCE) {
			poll(&wait, 1, 100);
			continue;
		}
		if (len <= 0)
			break;
		record[len] = '\0';
		text = strchr(record, ';');
		if (!text)
			continue;
		if (is_by_kernel(record))
			look(text + 1, arg);
		else if (!strncmp(text + 1, mark, strlen(mark)))
			break;
	}
}

static int log_fd = -1;

void plu_read_log(void)
{
	if (log_fd < 0)
		log_fd = open_log();
	read_messages(log_fd, count_message, NULL);
}

void plu_rewind_log(void)
{
	close(log_fd);
	log_fd = -1;
}

static void forget(struct plu_device *d, const struct plu_device *end)
{
	for (; d < end; d++) {
		memset(d->said, 0, sizeof(d->said));
		memset(d->messages, 0, sizeof(d->messages));
	}
}

void plu_skip_log(void)
{
	plu_rewind_log();
	log_fd = open_log();
	if (lseek(log_fd, 0, SEEK_END) < 0)
		plu_bail("/dev/kmsg: cannot skip: %s", strerror(errno));
	forget(plu.dev, plu_end());
	forget(plu.bridge, plu_bridges_end());
}

unsigned int plu_said(const struct plu_device *d, enum plu_message msg)
{
	return d->said[msg];
}

struct search {
	const char *what;
	unsigned int found;
};

static void search_message(const char *text, void *arg)
{
	struct search *search = arg;

	search->found += !!strstr(text, search->what);
}

unsigned int plu_times_said(const char *what)
{
	struct search search = { .what = what };
	int fd = open_log();

	read_messages(fd, search_message, &search);
	close(fd);

	return search.found;
}

unsigned int plu_times_said_of(const struct plu_device *d, const char *fmt, ...)
{
	char what[192], message[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	snprintf(message, sizeof(message), "%s: liveupdate: %s", d->bdf, what);

	return plu_times_said(message);
}

bool plu_says_once(const char *what)
{
	return plu_times_said(what) == 1;
}

static bool is_silent(const struct plu_device *d, const struct plu_device *end)
{
	static const unsigned int nothing[PLU_NR_MESSAGES];

	for (; d < end; d++)
		if (memcmp(d->said, nothing, sizeof(nothing)))
			return false;

	return true;
}

bool plu_log_is_silent(void)
{
	plu_read_log();

	return is_silent(plu.dev, plu_end()) && is_silent(plu.bridge, plu_bridges_end());
}

/* Into the log, where it must stand before what it is about. */
static void announce(const char *kind, const char *what)
{
	char line[256];
	int ret;

	snprintf(line, sizeof(line), "# %s: %s", kind, what);
	ret = plu_write_file("/dev/kmsg", line);
	if (ret)
		plu_bail("/dev/kmsg: %s", strerror(-ret));
}

void plu_announce(const char *fmt, ...)
{
	char warning[192];
	va_list args;

	va_start(args, fmt);
	vsnprintf(warning, sizeof(warning), fmt, args);
	va_end(args);
	announce("expect-warning", warning);
}

void plu_announce_possible(const char *what)
{
	announce("accept-warning", what);
}

void plu_announce_of_qemu(const char *what)
{
	announce("expect-qemu", what);
}

void plu_announce_panic(const char *what)
{
	announce("expect-panic", what);
}

void plu_announce_crash(const char *what)
{
	announce("expect-crash", what);
}

void plu_expect_warning(struct plu_device *d, enum plu_message msg)
{
	d->messages[msg]++;
	plu_announce("%s: liveupdate: %s", d->bdf, plu_messages[msg]);
}
