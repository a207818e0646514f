// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of PCI Live Update: Live Update sessions, through the library of the
 * Live Update selftests.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <libliveupdate.h>

#include "plu.h"

/* What a stage tells the next one travels in a session of its own. */
#define STATE_SESSION	"pci-liveupdate-selftest"
#define STATE_TOKEN	0x57a7e

/* /dev/liveupdate can be open only once: open it no longer than needed. */
static int with_luo(int (*call)(int luo, const char *name), const char *name)
{
	int luo = luo_open_device();
	int ret;

	if (luo < 0)
		plu_bail("%s: %s", LUO_DEVICE, strerror(errno));
	ret = call(luo, name);
	close(luo);

	return ret;
}

int plu_session(const char *name)
{
	int session = with_luo(luo_create_session, name);

	if (session < 0)
		plu_bail("session %s: cannot create it: %s", name,
			 strerror(-session));

	return session;
}

int plu_try_retrieve_session(const char *name)
{
	return with_luo(luo_retrieve_session, name);
}

int plu_retrieve_session(const char *name)
{
	int session = plu_try_retrieve_session(name);

	if (session < 0)
		plu_bail("session %s: cannot retrieve it: %s", name,
			 strerror(-session));

	return session;
}

int plu_try_preserve(int session, int fd, __u64 token)
{
	return luo_session_preserve_fd(session, fd, token);
}

int plu_retrieve_fd(int session, __u64 token)
{
	return luo_session_retrieve_fd(session, token);
}

static void preserved(int session, struct plu_device *d)
{
	plu_set_outgoing(d, true);
	d->outgoing_session = session;
	plu.nr_outgoing_files++;
}

void plu_preserve(int session, struct plu_device *d)
{
	int ret;

	if (d->fd < 0)
		d->fd = plu_open(d);
	if (d->fd < 0)
		plu_bail("%s: cannot open it: %s", d->bdf, strerror(-d->fd));

	ret = plu_try_preserve(session, d->fd, d->token);
	if (ret)
		plu_bail("%s: cannot preserve it: %s", d->bdf, strerror(-ret));

	preserved(session, d);
}

void plu_settle_preserve(int session, struct plu_device *d, int ret)
{
	plu_read_log();
	while (plu_said(d, PLU_MSG_NOT_OUTGOING) > d->messages[PLU_MSG_NOT_OUTGOING]) {
		plu_set_outgoing(d, true);
		plu_set_outgoing(d, false);
	}
	if (!ret)
		preserved(session, d);
}

/* In a session that ends with this. */
static int try_preserve(struct plu_device *d)
{
	int session = plu_session("try");
	int ret;

	if (d->fd < 0)
		d->fd = plu_open(d);
	ret = plu_try_preserve(session, d->fd, d->token);
	if (!ret)
		preserved(session, d);
	plu_close_session(session);

	return ret;
}

bool plu_is_accepted(struct plu_device *d)
{
	int ret = try_preserve(d);

	if (ret)
		plu_say("%s: cannot be preserved: %s", d->bdf, strerror(-ret));

	return !ret;
}

bool plu_is_refused(struct plu_device *d, const char *fmt, ...)
{
	char why[128], message[192];
	unsigned int said;
	va_list args;
	int ret;

	va_start(args, fmt);
	vsnprintf(why, sizeof(why), fmt, args);
	va_end(args);
	snprintf(message, sizeof(message), "%s: liveupdate: cannot be preserved: %s",
		 d->bdf, why);

	said = plu_times_said(message);
	ret = try_preserve(d);
	if (ret == -EINVAL && plu_times_said(message) == said + 1)
		return true;
	plu_say("%s: gives %d, and '%s' is said %u times", d->bdf, ret, message,
		plu_times_said(message) - said);

	return false;
}

void plu_retrieve(int session, struct plu_device *d)
{
	int fd = plu_retrieve_fd(session, d->token);

	if (fd < 0)
		plu_bail("%s: cannot retrieve it: %s", d->bdf, strerror(-fd));

	d->fd = fd;
	d->cookie = d->handed_cookie;
	d->incoming_session = session;
	d->retrieved = true;
}

void plu_set_session_finished(int session)
{
	struct plu_device *d;

	for (d = plu.dev; d < plu_end(); d++) {
		if (d->incoming_session == session) {
			d->incoming_session = -1;
			plu.nr_incoming_files--;
			if (!d->absent)
				plu_set_finished(d);
		}
	}

	if (plu.nr_incoming_files || strcmp(plu.handover, "read"))
		return;

	/* With the last file, all that is still incoming becomes ordinary. */
	plu.handover = "finished";
	for (d = plu.dev; d < plu_end(); d++) {
		if (!d->absent)
			plu_set_finished(d);
		d->incoming = PLU_ORDINARY;
		d->surplus = 0;
		d->unrecorded = false;
	}
	for (d = plu.bridge; d < plu_bridges_end(); d++) {
		d->surplus = 0;
		d->unrecorded = false;
	}
	plu_wait_for_handover();
}

void plu_finish(int session)
{
	int ret = luo_session_finish(session);

	if (ret)
		plu_bail("cannot finish the session: %s", strerror(-ret));
	plu_set_session_finished(session);
}

void plu_close_session(int session)
{
	struct plu_device *d;

	close(session);
	plu_set_session_finished(session);
	for (d = plu.dev; d < plu_end(); d++) {
		if (d->outgoing_session != session)
			continue;
		plu_set_outgoing(d, false);
		d->outgoing_session = -1;
		plu.nr_outgoing_files--;
	}
}

/* --- From one stage to the next -------------------------------------------- */

/*
 * Where what is handed over lies, the note and the text, then a line for each device and
 * bridge: the way to it, its address, whether it is preserved, its token and cookie, and its
 * routing.
 */
#define STATE_LINE_SIZE	128

enum { NOT_PRESERVED, PRESERVED, LEFT_OUT };

static char state[PLU_TEXT_SIZE + (1 + PLU_MAX_DEVICES + PLU_MAX_BRIDGES) * STATE_LINE_SIZE];

static unsigned int kind_of(const struct plu_device *d)
{
	if (d->left_out && d->outgoing_session >= 0)
		return LEFT_OUT;

	return d->outgoing ? PRESERVED : NOT_PRESERVED;
}

static int write_lines(int len, const struct plu_device *d, const struct plu_device *end)
{
	for (; d < end; d++) {
		struct plu_routing now = {};

		if (!d->absent)
			now = plu_read_routing(d->bdf);
		len += snprintf(state + len, sizeof(state) - len,
				"%s %s %u %u %llx %llx %x %x %u %u\n", d->path, d->bdf,
				d->is_bridge, kind_of(d),
				(unsigned long long)d->token,
				(unsigned long long)d->cookie, now.numbers, now.acs,
				now.ari, now.bus_master);
	}

	return len;
}

void plu_hand_over(void)
{
	int memfd, session, len, ret;
	struct plu_device *d;

	if (!plu_exists(LUO_DEVICE))
		return;

	/* That is said on the way. */
	for (d = plu.dev; d < plu_end(); d++)
		if (d->outgoing && d->left_out)
			plu_announce("%s: liveupdate: not handed over, as it was removed", d->bdf);
	len = snprintf(state, sizeof(state), "%llx %llx %s\n",
		       (unsigned long long)plu_status_address("outgoing_address"),
		       (unsigned long long)plu.note, plu.text);
	len = write_lines(len, plu.dev, plu_end());
	len = write_lines(len, plu.bridge, plu_bridges_end());

	memfd = memfd_create("state", 0);
	if (memfd < 0 || write(memfd, state, len) != len)
		plu_bail("cannot write the state: %s", strerror(errno));

	session = plu_session(STATE_SESSION);
	ret = luo_session_preserve_fd(session, memfd, STATE_TOKEN);
	if (ret)
		plu_bail("cannot preserve the state: %s", strerror(-ret));
	close(memfd);
}

static struct plu_device *find_by_path(const char *path, bool is_bridge)
{
	struct plu_device *d = is_bridge ? plu.bridge : plu.dev;
	struct plu_device *end = is_bridge ? plu_bridges_end() : plu_end();

	for (; d < end; d++)
		if (!strcmp(d->path, path))
			return d;

	return NULL;
}

struct plu_device *plu_add_absent(const char *path, const char *bdf, bool is_bridge)
{
	struct plu_device *d = is_bridge ? plu_bridges_end() : plu_end();

	if (is_bridge ? plu.nr_bridges++ == PLU_MAX_BRIDGES :
			plu.nr_devices++ == PLU_MAX_DEVICES)
		plu_bail("too many devices or bridges");
	memset(d, 0, sizeof(*d));
	snprintf(d->path, sizeof(d->path), "%s", path);
	memcpy(d->bdf, bdf, PLU_BDF_SIZE);
	d->is_bridge = is_bridge;
	d->absent = true;
	d->fd = -1;
	d->outgoing_session = -1;
	d->incoming_session = -1;

	return d;
}

/* Cut a word off a line. */
static char *next_word(char **line)
{
	char *word = *line;

	*line += plu_until(word, ' ');
	if (**line)
		*(*line)++ = '\0';

	return word;
}

static void take_over_device(char *line, bool may_be_absent)
{
	const char *path = next_word(&line);
	const char *bdf = next_word(&line);
	bool is_bridge = *next_word(&line) == '1';
	struct plu_device *d = find_by_path(path, is_bridge);
	unsigned int kind;

	if (!d && !may_be_absent)
		plu_bail("this kernel has no device %s", path);
	if (!d)
		d = plu_add_absent(path, bdf, is_bridge);

	memcpy(d->handed_bdf, bdf, PLU_BDF_SIZE);
	/* By hand, there are messages of earlier kernels; but not of this one. */
	memset(d->messages, 0, sizeof(d->messages));
	kind = strtoul(next_word(&line), NULL, 10);
	if (kind != NOT_PRESERVED) {
		d->has_file = true;
		plu.nr_incoming_files++;
		plu.handover = "read";
	}
	if (kind == PRESERVED) {
		d->incoming = PLU_INCOMING;
		plu.keep_buses = true;
	}
	d->token = strtoull(next_word(&line), NULL, 16);
	d->handed_cookie = strtoull(next_word(&line), NULL, 16);
	d->handed.numbers = strtoul(next_word(&line), NULL, 16);
	d->handed.acs = strtoul(next_word(&line), NULL, 16);
	d->handed.ari = *next_word(&line) == '1';
	d->handed.bus_master = *next_word(&line) == '1';
}

/* The kernel has read what was handed over, or can't, and then it keeps that for ever. */
static void check_given_back(__u64 header_at)
{
	const char *handover = plu_status("handover");
	struct plu_header header;

	if (!header_at || (strcmp(handover, "read") && strcmp(handover, "finished")))
		return;
	plu_read_memory(header_at, &header, sizeof(header));
	if (header.version == 2 && header.devices % getpagesize() == 0 &&
	    plu_page_is_kept(header_at, &header, sizeof(header)))
		plu_bail("the memory of what was handed over was not given back");
}

static void take_over(bool may_be_absent)
{
	__u64 header_at = 0;
	int session, memfd;
	unsigned int lines = 0;
	char *line, *end;

	plu_find_devices(0);

	session = plu_retrieve_session(STATE_SESSION);
	memfd = luo_session_retrieve_fd(session, STATE_TOKEN);
	if (memfd < 0)
		plu_bail("cannot retrieve the state: %s", strerror(-memfd));
	if (plu_read_fd(memfd, state, sizeof(state)) <= 0)
		plu_bail("cannot read the state");
	close(memfd);
	close(session);

	plu.handover = "foreign";
	for (line = state; *line; line = end + 1) {
		end = line + plu_until(line, '\n');
		*end = '\0';
		if (line == state) {
			header_at = strtoull(next_word(&line), NULL, 16);
			plu.note = strtoull(next_word(&line), NULL, 16);
			snprintf(plu.text, sizeof(plu.text), "%s", line);
			continue;
		}
		take_over_device(line, may_be_absent);
		lines++;
	}
	if (lines != plu.nr_devices + plu.nr_bridges)
		plu_bail("%u devices and bridges instead of %u",
			 plu.nr_devices + plu.nr_bridges, lines);

	check_given_back(header_at);
	plu_expect_found();
}

void plu_take_over(void)
{
	take_over(false);
}

void plu_take_over_some(void)
{
	take_over(true);
}
