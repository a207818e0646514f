// SPDX-License-Identifier: GPL-2.0
/*
 * There is no memory, at each place where some is asked for, while files are preserved
 * and unpreserved, by the driver's own calls, when its files are opened, read and written,
 * when it is bound, when debugfs is read, and when incoming devices are removed. What was
 * begun is refused or done in another way, nothing is left of it, and it works once there
 * is memory.
 *
 * It is not refused where the kernel tries once more in another way: an XArray asks for a
 * node without waiting first, then again; and an array that outgrows a page is made of
 * single pages if that many in a row are not there.
 */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <libliveupdate.h>

#include "plu.h"

#define SESSION	"faults"
#define QUIET	"loglevel=5"	/* what works well is not worth the time to show it */
#define COOKIE	0xfa0175
#define ROUNDS	16

/*
 * Behind two switches, one behind the other, and a bridge to conventional PCI: a device
 * without interrupt. ACPI, which is asked for those, does not survive a lack of memory.
 */
static const char *topology(void)
{
	return "-device edu,addr=3\n"
		"-device pcie-root-port,id=rp,chassis=1,addr=4\n"
		"-device x3130-upstream,id=up1,bus=rp\n"
		"-device xio3130-downstream,id=dn1,bus=up1,addr=0,chassis=2\n"
		"-device xio3130-downstream,id=dn2,bus=up1,addr=1,chassis=3\n"
		"-device edu,bus=dn1\n"
		"-device x3130-upstream,id=up2,bus=dn2\n"
		"-device xio3130-downstream,id=dn3,bus=up2,addr=0,chassis=4\n"
		"-device pcie-pci-bridge,id=pb,bus=dn3\n"
		"-device pci-testdev,bus=pb,addr=1";
}

/* The one with the most bridges above, which all is tried with, and another one. */
static struct plu_device *d, *other;
static int session;

static void choose(void)
{
	d = plu.dev;
	for (struct plu_device *deeper = plu.dev; deeper < plu_end(); deeper++)
		if (plu_level(deeper) > plu_level(d))
			d = deeper;
	other = d == plu.dev ? plu.dev + 1 : plu.dev;
}

/* --- Files that are preserved and unpreserved --------------------------------- */

static int preserve_file(void)
{
	return plu_try_preserve(session, d->fd, d->token);
}

static void settle_preserved(int ret)
{
	plu_settle_preserve(session, d, ret);
}

static void end_session(void)
{
	plu_close_session(session);
	session = plu_session(SESSION);
}

static int close_session(void)
{
	plu_close_session(session);

	return 0;
}

static void preserve_again(void)
{
	session = plu_session(SESSION);
	plu_preserve(session, d);
}

/* The file cannot be frozen, or this would be the end. */
static int jump_in_vain(void)
{
	int ret = plu_reboot();

	return ret == -EIO ? 0 : ret;
}

static const struct plu_attempt first_file = {
	.what = "the first file of all is preserved",
	.call = preserve_file,
	.settle = settle_preserved,
	.undo = end_session,
	.rounds = 3 * ROUNDS,
}, other_file = {
	.what = "another file is preserved",
	.call = preserve_file,
	.settle = settle_preserved,
	.undo = end_session,
	.rounds = 3 * ROUNDS,
}, closing = {
	.what = "a session is closed",
	.call = close_session,
	.undo = preserve_again,
	.cannot_fail = true,
}, jumping = {
	.what = "a jump is called off",
	.call = jump_in_vain,
	.cannot_fail = true,
};

static void with_files(void)
{
	session = plu_session(SESSION);
	plu_fail_each(&first_file);

	plu_preserve(plu_session("faults-other"), other);
	plu_fail_each(&other_file);

	plu_preserve(session, d);
	plu_fail_each(&closing);
	if (plu_command(d, "fail freeze"))
		plu_bail("the driver does not know 'fail freeze'");
	plu_fail_each(&jumping);
	if (plu_command(d, "fail nothing"))
		plu_bail("the driver does not know 'fail nothing'");
}

/* --- The driver's own calls ---------------------------------------------------- */

static int preserve(void)
{
	return plu_command(d, "preserve");
}

static void settle_raw(int ret)
{
	if (!ret)
		plu_set_outgoing(d, true);
}

static int unpreserve(void)
{
	return plu_command(d, "unpreserve");
}

static void settle_not(int ret)
{
	if (!ret)
		plu_set_outgoing(d, false);
}

static void do_unpreserve(void)
{
	int ret = unpreserve();

	if (ret)
		plu_bail("%s: cannot unpreserve it: %s", d->bdf, strerror(-ret));
	settle_not(0);
}

static void do_preserve(void)
{
	int ret = preserve();

	if (ret)
		plu_bail("%s: cannot preserve it: %s", d->bdf, strerror(-ret));
	settle_raw(0);
}

static const struct plu_attempt preserving = {
	.what = "the driver preserves a device",
	.call = preserve,
	.settle = settle_raw,
	.undo = do_unpreserve,
	.rounds = ROUNDS,
}, unpreserving = {
	.what = "the driver unpreserves it",
	.call = unpreserve,
	.settle = settle_not,
	.undo = do_preserve,
	.rounds = ROUNDS,
};

static void with_calls(void)
{
	plu_close_session(session);
	plu_fail_each(&preserving);
	do_preserve();
	plu_fail_each(&unpreserving);
	do_unpreserve();
	session = plu_session(SESSION);
}

/* --- The driver's files, and the driver ----------------------------------------- */

static int open_file(void)
{
	int fd = plu_open(d);

	if (fd < 0)
		return fd;
	close(fd);

	return 0;
}

static int read_file(void)
{
	char text[512], name[32];
	int ret = plu_read_fd(d->fd, text, sizeof(text));

	if (ret < 0)
		return ret;

	return plu_value(text, "bdf ", name, sizeof(name)) && !strcmp(name, d->bdf) ?
	       0 : -EPROTO;
}

static int write_file(void)
{
	int ret = plu_command(d, "cookie 0x%x", COOKIE + 1);

	if (!ret)
		d->cookie = COOKIE + 1;

	return ret;
}

static void write_back(void)
{
	plu_set_cookie(d, COOKIE);
}

static int unbind(void)
{
	return plu_unbind(d);
}

static int bind(void)
{
	return plu_bind(d, PLU_DRIVER);
}

static void do_unbind(void)
{
	int ret = unbind();

	if (ret)
		plu_bail("%s: cannot unbind it: %s", d->bdf, strerror(-ret));
}

static void do_bind(void)
{
	int ret = bind();

	if (ret)
		plu_bail("%s: cannot bind it: %s", d->bdf, strerror(-ret));
}

static const struct plu_attempt opening = {
	.what = "a file of the driver is opened",
	.call = open_file,
	.rounds = ROUNDS,
}, reading = {
	.what = "it is read",
	.call = read_file,
	.rounds = ROUNDS,
}, writing = {
	.what = "it is written to",
	.call = write_file,
	.undo = write_back,
	.rounds = ROUNDS,
}, unbinding = {
	.what = "a device is unbound",
	.call = unbind,
	.undo = do_bind,
	.rounds = ROUNDS,
}, binding = {
	.what = "it is bound",
	.call = bind,
	.undo = do_unbind,
	/* So the PCI core calls it if there is no memory to note that a region is taken. */
	.or_error = -EBUSY,
	.rounds = ROUNDS,
};

static void with_driver(void)
{
	plu_set_cookie(d, COOKIE);
	plu_fail_each(&opening);
	plu_fail_each(&reading);
	plu_fail_each(&writing);

	close(d->fd);
	d->fd = -1;
	plu_fail_each(&unbinding);
	do_unbind();
	plu_fail_each(&binding);
	do_bind();
}

/* --- debugfs ------------------------------------------------------------------- */

static char good[8192];

/* Once it is being written, a file can only say so. */
static int read_debugfs(const char *file)
{
	static char text[sizeof(good)];
	int ret = plu_read_file(file, text, sizeof(text));

	if (ret < 0)
		return ret;
	if (strstr(text, "no memory\n"))
		return -ENOMEM;

	return strcmp(text, good) ? -EPROTO : 0;
}

static int read_outgoing(void)
{
	return read_debugfs(PLU_DEBUGFS "/outgoing");
}

static int read_incoming(void)
{
	return read_debugfs(PLU_DEBUGFS "/incoming");
}

static int read_status(void)
{
	return read_debugfs(PLU_DEBUGFS "/status");
}

static int read_check(void)
{
	return read_debugfs(PLU_DEBUGFS "/check");
}

static void fail_to_read(const char *file, int (*call)(void))
{
	const struct plu_attempt attempt = {
		.what = file,
		.call = call,
		.rounds = ROUNDS,
	};

	if (plu_read_file(file, good, sizeof(good)) <= 0)
		plu_bail("%s: cannot read", file);
	plu_fail_each(&attempt);
}

/* --- Stages ------------------------------------------------------------------- */

static void kernel_a(void)
{
	struct plu_device *any;

	plu_find_devices(3);
	choose();
	for (any = plu.dev; any < plu_end(); any++)
		any->fd = plu_open(any);

	with_files();
	with_calls();
	with_driver();

	plu_preserve(session, d);
	fail_to_read(PLU_DEBUGFS "/outgoing", read_outgoing);
	fail_to_read(PLU_DEBUGFS "/status", read_status);
	fail_to_read(PLU_DEBUGFS "/check", read_check);
	plu_check("two devices are outgoing");
}

static int remove_device(void)
{
	return plu_remove(d);
}

/* Its settings, which were to be kept, may be lost; that it is incoming is not. */
static const struct plu_attempt removing = {
	.what = "an incoming device is removed",
	.call = remove_device,
	.undo = plu_rescan,
	.rounds = ROUNDS,
};

static void kernel_b(void)
{
	plu_take_over();
	choose();
	plu_check("two devices are incoming");
	fail_to_read(PLU_DEBUGFS "/incoming", read_incoming);
	fail_to_read(PLU_DEBUGFS "/check", read_check);
	plu_fail_each(&removing);

	session = plu_retrieve_session(SESSION);
	plu_retrieve(session, d);
	plu_fail_from(1);
	plu_gives(luo_session_finish(session), 0, "finishing takes no memory");
	plu_did_fail();
	plu_finish(session);
	session = plu_retrieve_session("faults-other");
	plu_retrieve(session, other);
	plu_finish(session);
	plu_check("nothing is left");
}

static const struct plu_test test = {
	.name = "faults",
	.qemu = topology,
	.stage = {
		{ .run = kernel_a, .plan = 14 * PLU_FAIL_RESULTS - 1,
		  .cmdline = QUIET },
		{ .run = kernel_b, .plan = 3 * PLU_FAIL_RESULTS + 3, .cmdline = QUIET },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
