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

	d->outgoing = true;
	d->outgoing_session = session;
	plu.nr_outgoing_files++;
}

void plu_retrieve(int session, struct plu_device *d)
{
	int fd = plu_retrieve_fd(session, d->token);

	if (fd < 0)
		plu_bail("%s: cannot retrieve it: %s", d->bdf, strerror(-fd));

	d->fd = fd;
	d->cookie = d->handed_cookie;
	d->incoming_session = session;
}

static void finished(int session)
{
	struct plu_device *d;
	bool any_incoming = false;

	for (d = plu.dev; d < plu_end(); d++) {
		if (d->incoming_session == session) {
			d->incoming_session = -1;
			plu.nr_incoming_files--;
			if (d->incoming == PLU_INCOMING && !d->absent) {
				d->incoming = PLU_FINISHED;
				d->messages[PLU_MSG_FINISHED]++;
			}
		}
		any_incoming |= d->incoming == PLU_INCOMING && !d->absent;
	}

	if (any_incoming || plu.nr_incoming_files || strcmp(plu.handover, "read"))
		return;

	/* Nothing of the hand-over is left, or soon: a removed device takes a moment. */
	plu.handover = "finished";
	for (d = plu.dev; d < plu_end(); d++)
		d->incoming = PLU_ORDINARY;
	plu_wait_for_handover();
}

void plu_finish(int session)
{
	int ret = luo_session_finish(session);

	if (ret)
		plu_bail("cannot finish the session: %s", strerror(-ret));
	finished(session);
}

void plu_close_session(int session)
{
	struct plu_device *d;

	close(session);
	finished(session);
	for (d = plu.dev; d < plu_end(); d++) {
		if (d->outgoing_session != session)
			continue;
		d->outgoing = false;
		d->outgoing_session = -1;
		plu.nr_outgoing_files--;
	}
}

/* --- From one stage to the next -------------------------------------------- */

/* The note, then a line for each device: the way to it, its address, whether preserved, cookie. */
#define STATE_LINE_SIZE	128

static char state[(1 + PLU_MAX_DEVICES) * STATE_LINE_SIZE];

void plu_hand_over(void)
{
	int memfd, session, len, ret;
	struct plu_device *d;

	if (!plu_exists(LUO_DEVICE))
		return;

	len = snprintf(state, sizeof(state), "%llx\n", (unsigned long long)plu.note);
	for (d = plu.dev; d < plu_end(); d++)
		len += snprintf(state + len, sizeof(state) - len, "%s %s %u %llx\n",
				d->path, d->bdf, d->outgoing,
				(unsigned long long)d->cookie);

	memfd = memfd_create("state", 0);
	if (memfd < 0 || write(memfd, state, len) != len)
		plu_bail("cannot write the state: %s", strerror(errno));

	session = plu_session(STATE_SESSION);
	ret = luo_session_preserve_fd(session, memfd, STATE_TOKEN);
	if (ret)
		plu_bail("cannot preserve the state: %s", strerror(-ret));
	close(memfd);
}

static struct plu_device *find_device(const char *path, size_t len)
{
	struct plu_device *d;

	for (d = plu.dev; d < plu_end(); d++)
		if (strlen(d->path) == len && !strncmp(d->path, path, len))
			return d;

	return NULL;
}

static void take_over_device(const char *line)
{
	size_t path_len = plu_until(line, ' ');
	struct plu_device *d = find_device(line, path_len);

	if (!d)
		plu_bail("this kernel has no device %.*s",
			 (int)plu_until(line, '\n'), line);

	line += path_len + 1;
	memcpy(d->handed_bdf, line, PLU_BDF_SIZE - 1);
	line += PLU_BDF_SIZE;
	d->handed_cookie = strtoull(line + 2, NULL, 16);

	/* By hand, there are messages of earlier kernels; but not of this one. */
	memset(d->messages, 0, sizeof(d->messages));
	if (*line == '1') {
		d->incoming = PLU_INCOMING;
		d->messages[PLU_MSG_PRESERVED] = 1;
		plu.nr_incoming_files++;
		plu.handover = "read";
	}
}

void plu_take_over(void)
{
	unsigned int lines = 0;
	int session, memfd;
	const char *line;

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
	plu.note = strtoull(state, NULL, 16);
	for (line = strchr(state, '\n') + 1; *line; line = strchr(line, '\n') + 1) {
		take_over_device(line);
		lines++;
	}
	if (lines != plu.nr_devices)
		plu_bail("%u devices instead of %u", plu.nr_devices, lines);
}
