// SPDX-License-Identifier: GPL-2.0
/*
 * There is no memory, at each place where some is asked for, while files are retrieved.
 * They can be when there is memory again, their devices are incoming all the while, as are
 * all others, and all are finished, which needs none.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <libliveupdate.h>

#include "plu.h"

#define ALONE	"faults_retrieve-alone"
#define LATER	"faults_retrieve-later"
#define COOKIE	0xfa01700

/* Without an end, for each file can be retrieved once. */
static const char *topology(void)
{
	static char text[4096];
	size_t len;

	len = snprintf(text, sizeof(text), "-device pcie-pci-bridge,id=pb,addr=3");
	for (int slot = 1; slot <= 4; slot++)
		for (int function = 0; function < 8; function++)
			len += snprintf(text + len, sizeof(text) - len,
					" -device pci-testdev,bus=pb,addr=%x.%d,multifunction=on",
					slot, function);

	return text;
}

/* Two sessions, of which each has every other device. */
static const char *name_of(const struct plu_device *d)
{
	return (d - plu.dev) % 2 ? LATER : ALONE;
}

static void preserve(void)
{
	int alone = plu_session(ALONE), later = plu_session(LATER);
	struct plu_device *d;

	plu_find_devices(32);
	for (d = plu.dev; d < plu_end(); d++) {
		plu_set_cookie(d, COOKIE + d->token);
		plu_preserve(!strcmp(name_of(d), ALONE) ? alone : later, d);
	}
	plu_check("every device is outgoing");
}

static int retrieve_failing(int session, const struct plu_device *d, unsigned int nth,
			    bool *did_fail)
{
	int ret;

	if (!strcmp(name_of(d), ALONE))
		plu_fail_nth(nth);
	else
		plu_fail_from(nth);
	ret = plu_retrieve_fd(session, d->token);
	*did_fail = plu_did_fail();

	return ret;
}

static bool can_be_retrieved(int session, struct plu_device *d)
{
	int fd = plu_retrieve_fd(session, d->token);

	if (fd < 0) {
		plu_say("%s: cannot be retrieved: %d", d->bdf, fd);
		return false;
	}
	d->fd = fd;
	d->cookie = d->handed_cookie;
	d->retrieved = true;

	return plu_file_is(fd, d, COOKIE + d->token);
}

/* Each has another file to try. Return how many times something was not as it should be. */
static unsigned int retrieve_each(int session, const char *name)
{
	unsigned int refused = 0, done = 0, wrong = 0;
	bool did_fail = true;
	struct plu_device *d;
	int ret;

	for (d = plu.dev; d < plu_end(); d++) {
		if (strcmp(name_of(d), name))
			continue;
		d->incoming_session = session;
		if (!did_fail) {
			wrong += !can_be_retrieved(session, d);
			continue;
		}

		ret = retrieve_failing(session, d, refused + done + 1, &did_fail);
		refused += ret == -ENOMEM;
		done += did_fail && ret >= 0;
		wrong += ret != -ENOMEM && ret < 0;
		wrong += !did_fail && ret < 0;
		wrong += !can_be_retrieved(session, d);
		wrong += !plu_is_as_expected();
	}
	plu_say("%u allocations: %u times refused, %u times done all the same",
		refused + done, refused, done);

	/* All allocations were met, or there were too few devices; or nothing was tried. */
	return wrong + did_fail + !refused;
}

static void finish(int session, const char *which)
{
	int ret;

	plu_fail_from(1);
	ret = luo_session_finish(session);
	/* What frees memory may ask for some now and then, and does without. */
	plu_did_fail();
	plu_gives(ret, 0, "the files %s are finished, without memory", which);
	plu_finish(session);
}

static void retrieve(void)
{
	int alone, later;

	plu_take_over();
	plu_check("every device is incoming");
	alone = plu_retrieve_session(ALONE);
	later = plu_retrieve_session(LATER);
	plu_ok(!retrieve_each(alone, ALONE),
	       "without a trace if allocations fail, each one alone");
	plu_ok(!retrieve_each(later, LATER),
	       "without a trace if allocations fail, from each one on");
	finish(alone, "of one session");
	plu_check("those of the other are incoming still");
	finish(later, "of the other");
	plu_check("nothing is left");
}

static const struct plu_test test = {
	.name = "faults_retrieve",
	.qemu = topology,
	.stage = {
		{ .run = preserve, .plan = 1 },
		{ .run = retrieve, .plan = 7 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
