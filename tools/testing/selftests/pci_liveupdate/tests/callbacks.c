// SPDX-License-Identifier: GPL-2.0
/*
 * What a driver is asked to do for a preserved file may fail, at each step. Userspace
 * is told, as LUO documents it, nothing is left of what failed, and nobody else is
 * affected: no other file of the session, and no other session.
 */

#include <errno.h>
#include <unistd.h>

#include <libliveupdate.h>

#include "plu.h"

#define FIRST	"callbacks-first"
#define SECOND	"callbacks-second"
#define STUCK	"callbacks-stuck"
#define ONWARD	"callbacks-onward"
#define COOKIE	0xca11bac0

static void let_fail(struct plu_device *d, const char *step)
{
	int ret = plu_command(d, "fail %s", step);

	if (ret)
		plu_bail("%s: the driver does not know 'fail %s'", d->bdf, step);
}

/* What the driver had preserved when it failed is not preserved any more. */
static void fail_to_preserve(int session, struct plu_device *d, __u64 token,
			     const char *what)
{
	plu_gives(plu_try_preserve(session, d->fd, token), -EIO, "%s", what);
	plu_set_outgoing(d, true);
	plu_set_outgoing(d, false);
}

static void preserve_in_spite(int first, int second)
{
	struct plu_device *d = &plu.dev[0], *other = &plu.dev[1], *late = &plu.dev[2];

	let_fail(d, "preserve");
	fail_to_preserve(first, d, d->token, "the first file of all cannot be preserved");
	plu_check("nothing is outgoing");
	fail_to_preserve(first, d, d->token, "nor when that is tried again");
	fail_to_preserve(second, d, d->token, "nor in another session");
	plu_check("nothing is outgoing still");
	let_fail(d, "nothing");
	plu_preserve(first, d);
	plu_preserve(second, other);
	plu_check("it can when the driver does not fail, and so can another");

	let_fail(late, "preserve");
	fail_to_preserve(first, late, late->token, "a second file of a session cannot");
	fail_to_preserve(second, late, late->token, "nor one of another session");
	plu_check("the two are outgoing, as they were");
	let_fail(late, "nothing");
	plu_preserve(first, late);
	plu_check("it can when the driver does not fail");
}

/* Whichever file is frozen when: first, last, or with others before it and after it. */
static void jump_in_vain(int session, int first, int second)
{
	struct plu_device *d, *fourth = &plu.dev[3];
	int third;

	for (d = plu.dev; d < &plu.dev[3]; d++) {
		let_fail(d, "freeze");
		plu_gives(plu_reboot(), -EIO, "the file of %s cannot be frozen", d->path);
		plu_gives(plu_reboot(), -EIO, "nor when that is tried again");
		plu_check("three are outgoing, as they were");

		third = plu_session("callbacks-third");
		plu_preserve(third, fourth);
		plu_check("another can be preserved after that");
		plu_close_session(third);
		plu_check("and unpreserved");
		let_fail(d, "nothing");
	}

	plu_close_session(session);
	plu_check("a session that was frozen can be closed");
	plu_ok(plu_file_is(plu.dev[0].fd, &plu.dev[0], plu.dev[0].cookie) &&
	       plu_file_is(plu.dev[1].fd, &plu.dev[1], plu.dev[1].cookie),
	       "the files work");
	plu_close_session(first);
	plu_close_session(second);
	plu_check("so can the others: nothing is outgoing");
}

static void kernel_a(void)
{
	int first, second, stuck, extra;
	struct plu_device *d;

	plu_find_devices(5);
	for (d = plu.dev; d < plu_end(); d++) {
		d->fd = plu_open(d);
		plu_set_cookie(d, COOKIE + d->token);
	}

	first = plu_session(FIRST);
	second = plu_session(SECOND);
	extra = plu_session("callbacks-extra");
	preserve_in_spite(first, second);
	jump_in_vain(extra, first, second);

	first = plu_session(FIRST);
	second = plu_session(SECOND);
	stuck = plu_session(STUCK);
	plu_preserve(first, &plu.dev[0]);
	plu_preserve(first, &plu.dev[1]);
	plu_preserve(first, &plu.dev[2]);
	plu_preserve(second, &plu.dev[3]);
	plu_preserve(stuck, &plu.dev[4]);
	let_fail(&plu.dev[3], "freeze");
	plu_gives(plu_reboot(), -EIO, "a file of a later session cannot be frozen");
	let_fail(&plu.dev[3], "nothing");
	plu_check("five are outgoing");
}

static void retrieve_in_spite(int first, int second)
{
	struct plu_device *d = &plu.dev[0];

	let_fail(d, "retrieve");
	plu_gives(plu_retrieve_fd(first, d->token), -EIO, "a file cannot be retrieved");
	plu_gives(plu_retrieve_fd(first, d->token), -EIO, "nor when that is tried again");
	plu_check("all are incoming, as they were");

	plu_retrieve(first, &plu.dev[1]);
	plu_retrieve(second, &plu.dev[3]);
	plu_ok(plu_file_is(plu.dev[1].fd, &plu.dev[1], COOKIE + plu.dev[1].token) &&
	       plu_file_is(plu.dev[3].fd, &plu.dev[3], COOKIE + plu.dev[3].token),
	       "another can, of the session and of another one, and has the cookie");
	let_fail(d, "nothing");
	plu_retrieve(first, d);
	plu_ok(plu_file_is(d->fd, d, COOKIE + d->token), "it can when the driver does not fail");
	plu_check("all are incoming still");
}

static void finish_in_spite(int first, int second)
{
	struct plu_device *d = &plu.dev[2];

	/* It was not retrieved. Those before and after it in the session can be finished. */
	let_fail(d, "can_finish");
	plu_gives(luo_session_finish(first), -EBUSY, "a session cannot be finished");
	plu_gives(luo_session_finish(first), -EBUSY, "nor when that is tried again");
	plu_check("all are incoming, as they were");
	plu_retrieve(first, d);
	plu_ok(plu_file_is(d->fd, d, COOKIE + d->token), "its files can be retrieved");
	plu_gives(luo_session_finish(first), -EBUSY, "it cannot be finished yet");
	plu_finish(second);
	plu_check("another session can");

	let_fail(d, "nothing");
	for (d = plu.dev; d < &plu.dev[3]; d++)
		d->incoming_session = first;
	plu_finish(first);
	plu_check("it can when the driver agrees");
}

static void close_in_vain(void)
{
	struct plu_device *d = &plu.dev[4];
	int stuck;

	close(plu_retrieve_session(STUCK));
	plu_check("what was not retrieved when its session is closed stays incoming");
	stuck = plu_retrieve_session(STUCK);
	let_fail(d, "can_finish");
	plu_retrieve(stuck, d);
	close(stuck);
	plu_check("so does what cannot be finished then");
	stuck = plu_retrieve_session(STUCK);
	close(d->fd);
	plu_retrieve(stuck, d);
	plu_ok(plu_file_is(d->fd, d, COOKIE + d->token),
	       "the session and the file can be had again");
	let_fail(d, "nothing");
	plu_close_session(stuck);
	plu_check("what can be finished is when the session is closed");
	plu_gives(plu_try_retrieve_session(STUCK), -ENOENT, "then the session is there no more");
}

static void kernel_b(void)
{
	int first, second;

	plu_take_over();
	plu_check("five are incoming");
	first = plu_retrieve_session(FIRST);
	second = plu_retrieve_session(SECOND);
	retrieve_in_spite(first, second);
	finish_in_spite(first, second);
	close_in_vain();

	plu_preserve(plu_session(ONWARD), &plu.dev[0]);
	plu_preserve(plu_session(FIRST), &plu.dev[3]);
	plu_check("two are outgoing again");
}

static void kernel_c(void)
{
	int session;

	plu_take_over();
	plu_check("these two are incoming, no other");
	session = plu_retrieve_session(ONWARD);
	plu_retrieve(session, &plu.dev[0]);
	plu_finish(session);
	session = plu_retrieve_session(FIRST);
	plu_retrieve(session, &plu.dev[3]);
	plu_finish(session);
	plu_check("nothing is left");
}

static const struct plu_test test = {
	.name = "callbacks",
	.stage = {
		{ .run = kernel_a, .plan = 30 },
		{ .run = kernel_b, .plan = 20 },
		{ .run = kernel_c, .plan = 2 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
