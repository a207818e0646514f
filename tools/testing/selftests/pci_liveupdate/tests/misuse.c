// SPDX-License-Identifier: GPL-2.0
/*
 * What nobody should do: it gives the documented error or a warning, and nothing
 * that is preserved is lost over it.
 */

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <libliveupdate.h>

#include "plu.h"

#define SESSION	"misuse"

static void with_nothing_preserved(struct plu_device *d)
{
	plu_expect_warning(d, PLU_MSG_CANNOT_UNPRESERVE);
	plu_gives(plu_command(d, "unpreserve"), -ENOENT,
		  "the driver unpreserves what nobody has preserved");
	plu_expect_warning(d, PLU_MSG_CANNOT_FINISH);
	plu_gives(plu_command(d, "finish"), 0,
		  "the driver finishes what nobody has handed over");
	plu_gives(plu_command(d, "preserve"), -ENOENT,
		  "the driver preserves it without a file");
	plu_gives(plu_command(d, "no such command"), -EINVAL, "nonsense is refused");
	plu_check("the kernel has warned and done nothing else");
}

static void preserve(void)
{
	struct plu_device *first, *second;
	int session, other, file;

	plu_find_devices(2);
	first = &plu.dev[0];
	second = &plu.dev[1];
	plu_set_cookie(first, 0x600d);
	plu_set_cookie(second, 0xbad);

	with_nothing_preserved(first);

	session = plu_session(SESSION);
	other = plu_session("misuse-other");
	plu_preserve(session, first);
	plu_check("one device is outgoing");

	plu_gives(plu_try_preserve(session, first->fd, 1000), -EBUSY,
		  "its file again, in the same session");
	plu_gives(plu_try_preserve(other, first->fd, first->token), -EBUSY,
		  "its file again, in another session");
	file = plu_open(first);
	plu_gives(plu_try_preserve(session, file, 1000), -EBUSY,
		  "another file of it, in the same session");
	plu_gives(plu_try_preserve(other, file, first->token), -EBUSY,
		  "another file of it, in another session");
	close(file);
	plu_gives(plu_command(first, "preserve"), -EBUSY, "the driver preserves it again");
	file = plu_open(second);
	plu_gives(plu_try_preserve(session, file, first->token), -EEXIST,
		  "its token again, for another device");
	close(file);
	file = open("/dev/null", O_RDWR);
	plu_gives(plu_try_preserve(session, file, 1000), -ENOENT,
		  "a file that is not a device's");
	close(file);
	plu_gives(luo_session_finish(session), -EINVAL,
		  "finishing a session that is outgoing");
	plu_check("the device is outgoing, as it was, and no other");

	plu_expect_warning(first, PLU_MSG_CANNOT_FINISH);
	plu_gives(plu_command(first, "finish"), 0, "the driver finishes it");
	plu_expect_warning(second, PLU_MSG_CANNOT_UNPRESERVE);
	plu_gives(plu_command(second, "unpreserve"), -ENOENT, "the driver unpreserves another");
	plu_check("the kernel has warned and done nothing else");

	plu_close_session(other);
	plu_check("closing the other session changes nothing");
}

static void retrieve(void)
{
	struct plu_device *first, *second;
	int session, other;

	plu_take_over();
	first = &plu.dev[0];
	second = &plu.dev[1];
	plu_ok(first->incoming == PLU_INCOMING, "the device was handed over");
	plu_check("it is incoming, and no other");

	session = plu_retrieve_session(SESSION);
	plu_gives(plu_try_retrieve_session(SESSION), -EINVAL, "retrieving a session again");
	plu_gives(plu_retrieve_fd(session, 1000), -ENOENT,
		  "a token that nobody has given");
	plu_retrieve(session, first);
	plu_ok(plu_file_is(first->fd, first, 0x600d),
	       "the device is retrieved, works, and has the cookie");

	plu_expect_warning(first, PLU_MSG_CANNOT_UNPRESERVE);
	plu_gives(plu_command(first, "unpreserve"), -ENOENT, "the driver unpreserves it");
	plu_expect_warning(second, PLU_MSG_CANNOT_FINISH);
	plu_gives(plu_command(second, "finish"), 0, "the driver finishes another");
	plu_gives(plu_try_preserve(session, first->fd, 1000), -EINVAL,
		  "preserving in a session that is incoming");
	other = plu_session("misuse-other");
	plu_gives(plu_try_preserve(other, first->fd, 1000), -EBUSY,
		  "preserving the retrieved file before its session is finished");
	plu_check("it is incoming, as it was");

	plu_finish(session);
	plu_check("it is an ordinary device");
	plu_preserve(other, first);
	plu_check("its file can be preserved now");
	plu_close_session(other);
	plu_check("and unpreserved");
}

static const struct plu_test test = {
	.name = "misuse",
	.stage = {
		{ .run = preserve, .plan = 19 },
		{ .run = retrieve, .plan = 13 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
