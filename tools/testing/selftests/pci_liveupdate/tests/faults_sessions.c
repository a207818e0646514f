// SPDX-License-Identifier: GPL-2.0
/*
 * There is no memory, at one place after the other where some is asked for, when sessions are
 * read for the first time. Whoever asks again gets them, with all that is in them.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <libliveupdate.h>

#include "plu.h"

#define NR_SESSIONS	4
#define NR_FILES	3

static const char *name_of(unsigned int session)
{
	static char name[32];

	snprintf(name, sizeof(name), "faults_sessions-%u", session);

	return name;
}

static void preserve(void)
{
	int session, memfd;

	plu_find_devices(0);
	for (unsigned int i = 0; i < NR_SESSIONS; i++) {
		session = plu_session(name_of(i));
		for (unsigned int n = 0; n < NR_FILES; n++) {
			memfd = memfd_create("memory", 0);
			if (memfd < 0 || write(memfd, &i, sizeof(i)) != sizeof(i))
				plu_bail("memfd: %s", strerror(errno));
			if (plu_try_preserve(session, memfd, n))
				plu_bail("memory cannot be preserved");
		}
	}
	plu_check("sessions with memory are preserved");
}

static int try_to_retrieve(unsigned int i)
{
	int luo = open(LUO_DEVICE, O_RDWR);
	int session;

	if (luo < 0)
		return -errno;
	session = luo_retrieve_session(luo, name_of(i));
	close(luo);

	return session;
}

/* Have another allocation fail each time, until there are fewer. */
static int retrieve_failing(unsigned int i, unsigned int *refused)
{
	unsigned int nth = 0;
	bool did_fail;
	int session;

	do {
		plu_fail_nth(++nth);
		session = try_to_retrieve(i);
		did_fail = plu_did_fail();
		if (session >= 0)
			break;
		++*refused;
	} while (did_fail && session == -ENOMEM);
	if (session < 0)
		plu_say("%s, allocation %u: %d", name_of(i), nth, session);

	return session;
}

static bool is_whole(int session, unsigned int i)
{
	unsigned int number;

	for (unsigned int n = 0; n < NR_FILES; n++) {
		int memfd = plu_retrieve_fd(session, n);

		if (memfd < 0 || lseek(memfd, 0, SEEK_SET) ||
		    read(memfd, &number, sizeof(number)) != sizeof(number) ||
		    number != i) {
			plu_say("%s: file %u: %d", name_of(i), n, memfd);
			return false;
		}
		close(memfd);
	}

	return true;
}

static void retrieve(void)
{
	int session[NR_SESSIONS];
	unsigned int refused = 0;

	for (unsigned int i = 0; i < NR_SESSIONS; i++) {
		session[i] = retrieve_failing(i, &refused);
		plu_ok(session[i] >= 0 && is_whole(session[i], i),
		       "a session comes back when there is memory again, and all that is in it");
	}
	plu_ok(refused >= NR_SESSIONS, "there was none %u times", refused);
	for (unsigned int i = 0; i < NR_SESSIONS; i++)
		plu_gives(luo_session_finish(session[i]), 0, "it can be finished");
}

static const struct plu_test test = {
	.name = "faults_sessions",
	.stage = {
		{ .run = preserve, .plan = 1 },
		{ .run = retrieve, .plan = 2 * NR_SESSIONS + 1 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
