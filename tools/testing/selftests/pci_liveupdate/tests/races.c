// SPDX-License-Identifier: GPL-2.0
/*
 * Everything at the same time, on several processors: files are preserved, sessions
 * closed and finished, devices removed and found again, bound and unbound, the driver
 * unloaded, debugfs read, jumps called off, and the driver makes calls of its own that no
 * driver should. In each stage but the first that happens to incoming devices, too.
 *
 * After each round everybody rests, with whatever is preserved then, and the kernel is to
 * find that all it knows agrees. Then all is given up: nothing is preserved any more, all
 * agrees still, and every device works.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libliveupdate.h>

#include "plu.h"

#define NR_SESSIONS	4
#define ROUND_TIME	1000	/* ms */

/* The devices of most tests, and some more of several functions. */
static const char *topology(void)
{
	return "-smp 4 default\n"
		"-device pci-testdev,bus=pb,addr=2.0,multifunction=on\n"
		"-device pci-testdev,bus=pb,addr=2.1,multifunction=on\n"
		"-device pcie-root-port,id=rp3,chassis=9,addr=7\n"
		"-device pci-testdev,bus=rp3,addr=0.0,multifunction=on\n"
		"-device pci-testdev,bus=rp3,addr=0.1,multifunction=on";
}

/* --- Calls -------------------------------------------------------------------- */

enum {
	OPEN, READ, COMMAND, RAW_PRESERVE, RAW_UNPRESERVE, LUO, SESSION, PRESERVE, CLOSE,
	RETRIEVE, FINISH, REMOVE, RESCAN, UNBIND, BIND, UNLOAD, LOAD, DEBUGFS, CHECK, JUMP,
	NR_CALLS
};

static const struct plu_call calls[NR_CALLS] = {
	/* There is no such device now, or no driver, or it is about to leave. */
	[OPEN] = { "opening a device's file", { ENOENT, ENODEV } },
	[READ] = { "reading it", { } },
	[COMMAND] = { "a command", { } },
	/* Preserved already or frozen, no file is preserved, or no device or driver. */
	[RAW_PRESERVE] = { "the driver preserves", { EBUSY, ENOENT, ENODEV } },
	/* Frozen, or not preserved. */
	[RAW_UNPRESERVE] = { "the driver unpreserves", { EBUSY, ENOENT } },
	/* One process at a time. */
	[LUO] = { "opening LUO", { EBUSY } },
	[SESSION] = { "making a session", { } },
	/* Its token is taken, it is preserved already, it or the driver is gone, or fails. */
	[PRESERVE] = { "preserving a file", { EEXIST, EBUSY, ENOENT, ENODEV, EIO } },
	[CLOSE] = { "closing a session", { } },
	/* Finished, or its device is gone or finished; or it has no driver, or that is gone. */
	[RETRIEVE] = { "retrieving a file", { ENOENT, ENODEV, EUNATCH } },
	/* The driver is gone: it can be finished when it is loaded again. */
	[FINISH] = { "finishing a session", { EUNATCH } },
	/* Preserved, or gone, or about to go. */
	[REMOVE] = { "removing a device", { EBUSY, ENOENT, ENODEV } },
	[RESCAN] = { "looking for devices", { } },
	/* Preserved, or not bound, or gone; or the driver is. */
	[UNBIND] = { "unbinding a device", { EBUSY, ENODEV, ENOENT } },
	/* Bound already, or gone; or the driver is. */
	[BIND] = { "binding a device", { EBUSY, ENODEV, ENOENT } },
	/* In use, or just being loaded or unloaded. */
	[UNLOAD] = { "unloading the driver", { EAGAIN, EBUSY, ENOENT } },
	[LOAD] = { "loading the driver", { EEXIST, EBUSY } },
	[DEBUGFS] = { "reading debugfs", { } },
	[CHECK] = { "finding that all agrees", { } },
	/* A file cannot be frozen; another jump is under way; no kernel is left to jump to. */
	[JUMP] = { "jumping", { EIO, EBUSY, EINVAL } },
};

/* Each call is announced before it is made, and then counted. */
#define CALL(what, call) ({				\
	const unsigned int __what = (what);		\
							\
	plu_about_to(__what);				\
	plu_call(__what, (call));			\
})

/* Nobody but who jumps makes this one fail, or not. */
#define JUMPING	(&plu.dev[0])

static struct plu_device *any_device(void)
{
	return &plu.dev[plu_random(plu.nr_devices)];
}

static struct plu_device *any_bridge(void)
{
	return &plu.bridge[plu_random(plu.nr_bridges)];
}

static int open_device(const struct plu_device *d)
{
	return CALL(OPEN, plu_open(d));
}

static int command(const struct plu_device *d, unsigned int call, const char *text)
{
	int fd = open_device(d), ret = -ENOENT;

	if (fd >= 0) {
		ret = CALL(call, plu_write_fd(fd, text));
		close(fd);
	}

	return ret;
}

static int make_session(void)
{
	static unsigned int number;
	int luo, session;
	char name[32];

	plu_about_to(LUO);
	luo = luo_open_device();
	if (plu_call(LUO, luo < 0 ? -errno : 0))
		return -1;
	snprintf(name, sizeof(name), "races-%d-%u", getpid(), number++);
	session = CALL(SESSION, luo_create_session(luo, name));
	close(luo);

	return session;
}

static void close_session(int session)
{
	CALL(CLOSE, close(session));
}

/* --- Jobs --------------------------------------------------------------------- */

/* What the first file makes, and the last takes away, comes and goes all the time. */
static bool sessions_are_short;

/* That of a worker who has one. */
static int own_session = -1;

static bool preserve_any(void)
{
	int fd, ret = -ENOENT;

	if (own_session < 0)
		own_session = make_session();
	if (own_session < 0)
		return false;

	fd = open_device(any_device());
	if (fd >= 0) {
		ret = CALL(PRESERVE, plu_try_preserve(own_session, fd, plu_random(8)));
		close(fd);
	}

	return !ret;
}

static void preserve_and_close(void)
{
	preserve_any();
	if (own_session >= 0 && (sessions_are_short || !plu_random(8))) {
		close_session(own_session);
		own_session = -1;
	}
}

/* So that there is something to look at while everybody rests. */
static void preserve_last(void)
{
	for (int i = 0; i < 1000 && !preserve_any(); i++)
		poll(NULL, 0, 1);
}

static void drive(void)
{
	struct plu_device *d = any_device();

	switch (plu_random(16)) {
	case 0:
		command(d, COMMAND, "finish");
		break;
	case 1:
		if (d == JUMPING)
			break;
		command(d, COMMAND, "fail preserve");
		command(d, COMMAND, "fail nothing");
		break;
	case 2 ... 6:
		if (!command(d, RAW_PRESERVE, "preserve"))
			command(d, RAW_UNPRESERVE, "unpreserve");
		break;
	case 7:
		command(d, RAW_UNPRESERVE, "unpreserve");
		break;
	case 8 ... 9:
		command(d, RAW_PRESERVE, "preserve");
		break;
	default:
		command(d, COMMAND, "cookie 0xacce55");
		break;
	}
}

/* Most of this is done with the records locked: who comes in between does harm at once. */
static void hammer(void)
{
	int fd = open_device(any_device());

	for (int i = 0; fd >= 0 && i < 100; i++)
		if (!CALL(RAW_PRESERVE, plu_write_fd(fd, "preserve")))
			CALL(RAW_UNPRESERVE, plu_write_fd(fd, "unpreserve"));
	close(fd);
}

static void remove_and_find(void)
{
	const struct plu_device *d = plu_random(4) ? any_device() : any_bridge();

	CALL(REMOVE, plu_write_file(plu_sysfs(d, "remove"), "1\n"));
	if (plu_random(4))
		CALL(RESCAN, plu_write_file("/sys/bus/pci/rescan", "1\n"));
}

static void unbind_and_bind(void)
{
	static const char driver[] = "/sys/bus/pci/drivers/" PLU_DRIVER;
	const struct plu_device *d = any_device();
	char path[128];

	snprintf(path, sizeof(path), "%s/unbind", driver);
	CALL(UNBIND, plu_write_file(path, d->bdf));
	snprintf(path, sizeof(path), "%s/bind", driver);
	CALL(BIND, plu_write_file(path, d->bdf));
}

static void unload_and_load(void)
{
	if (CALL(UNLOAD, plu_unload_module(PLU_DRIVER)))
		return;
	CALL(LOAD, plu_load_module(PLU_DRIVER, ""));
}

/*
 * The first records may be made while the kernel looks for any that should not be there.
 * So what does not agree is to be so more than once.
 */
static bool all_agrees(void)
{
	static char text[16384];

	for (int i = 0; i < 5; i++)
		if (plu_read_file(PLU_DEBUGFS "/check", text, sizeof(text)) > 0 &&
		    !strcmp(text, "ok\n"))
			return true;
	plu_say("the kernel finds:\n%s", text);

	return false;
}

static void read_everything(void)
{
	static const char * const files[] = { "outgoing", "incoming", "status" };
	static char text[16384];
	char path[64];
	int fd;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), PLU_DEBUGFS "/%s", files[i]);
		if (plu_exists(path))
			CALL(DEBUGFS, plu_read_file(path, text, sizeof(text)));
	}
	CALL(CHECK, all_agrees() ? 0 : -EUCLEAN);
	fd = open_device(any_device());
	if (fd < 0)
		return;
	CALL(READ, plu_read_fd(fd, text, sizeof(text)));
	close(fd);
}

/* Not without a file that cannot be frozen. */
static void jump_in_vain(void)
{
	int fd = open_device(JUMPING), session;

	if (fd < 0)
		return;
	session = make_session();
	if (session >= 0) {
		if (!CALL(COMMAND, plu_write_fd(fd, "fail freeze")) &&
		    !CALL(PRESERVE, plu_try_preserve(session, fd, 0)))
			CALL(JUMP, plu_reboot());
		CALL(COMMAND, plu_write_fd(fd, "fail nothing"));
		close_session(session);
	}
	close(fd);
}

/* Sessions of the previous kernel, each with every fourth device. */
static int incoming[NR_SESSIONS] = { -1, -1, -1, -1 };

static int number_of(const struct plu_device *d)
{
	return (d - plu.dev) % NR_SESSIONS;
}

static void retrieve_and_finish(void)
{
	const struct plu_device *d = any_device();
	int session = incoming[number_of(d)], fd;

	if (!plu_random(50)) {
		CALL(FINISH, luo_session_finish(session));
		return;
	}
	fd = CALL(RETRIEVE, plu_retrieve_fd(session, d->token));
	if (fd >= 0)
		close(fd);
	if (!plu_random(200))
		command(d, COMMAND, "finish");
}

static const struct plu_job jobs[] = {
	{ "that preserves", preserve_and_close, preserve_last },
	{ "that preserves, too", preserve_and_close, preserve_last },
	{ "that drives", drive },
	{ "that removes", remove_and_find },
	{ "that unbinds", unbind_and_bind },
	{ "that unloads", unload_and_load },
	{ "that reads", read_everything },
	{ "that jumps", jump_in_vain },
	/* If there is anything to finish. */
	{ "that finishes", retrieve_and_finish },
	{ "that finishes, too", retrieve_and_finish },
};

#define NR_OUTGOING_JOBS	(ARRAY_SIZE(jobs) - 2)

/* To remove devices and to load the driver takes long, and leaves little time to others. */
static const struct plu_job record_jobs[] = {
	{ "that preserves", preserve_and_close, preserve_last },
	{ "that hammers", hammer },
	{ "that hammers, too", hammer },
	{ "that hammers as well", hammer },
	{ "that hammers besides", hammer },
	{ "that reads", read_everything },
};

/* --- Peace --------------------------------------------------------------------- */

/* On a slow machine nobody may have come to that. */
static void finish_incoming(void)
{
	for (int i = 0; i < NR_SESSIONS; i++) {
		if (incoming[i] < 0)
			continue;
		for (struct plu_device *d = plu.dev; d < plu_end(); d++) {
			if (number_of(d) == i)
				close(CALL(RETRIEVE, plu_retrieve_fd(incoming[i], d->token)));
		}
		CALL(FINISH, luo_session_finish(incoming[i]));
		close(incoming[i]);
		incoming[i] = -1;
	}
}

static void come_to_rest(void)
{
	struct plu_device *d;
	int ret;

	if (!plu_exists("/sys/bus/pci/drivers/" PLU_DRIVER)) {
		ret = plu_load_module(PLU_DRIVER, "");
		if (ret)
			plu_bail("cannot load the driver: %s", strerror(-ret));
	}
	ret = plu_write_file("/sys/bus/pci/rescan", "1\n");
	if (ret)
		plu_bail("cannot look for devices: %s", strerror(-ret));

	for (d = plu.dev; d < plu_end(); d++) {
		if (!plu_exists(plu_sysfs(d, "driver"))) {
			ret = plu_bind(d, PLU_DRIVER);
			if (ret)
				plu_bail("%s: cannot be bound: %s", d->bdf, strerror(-ret));
		}
		plu_command(d, "fail nothing");
	}
	finish_incoming();
}

/* One that was away when its file was finished is incoming still, and nobody's. */
static void finish_rest(void)
{
	static char text[512];
	struct plu_device *d;

	for (d = plu.dev; d < plu_end(); d++) {
		plu_read_file(plu_node(d), text, sizeof(text));
		if (strstr(text, "state incoming"))
			plu_command(d, "finish");
	}
}

static bool status_is(const char *key, const char *value)
{
	bool is = !strcmp(plu_status(key), value);

	if (!is)
		plu_say("status: %s is '%s', not '%s'", key, plu_status(key), value);

	return is;
}

static bool device_is_ordinary(const struct plu_device *d)
{
	char text[512] = "";

	if (plu_read_file(plu_node(d), text, sizeof(text)) > 0 &&
	    strstr(text, "state ordinary\n") && strstr(text, "alive yes\n"))
		return true;
	plu_say("%s is not as it should be:\n%s", d->bdf, text);

	return false;
}

static bool is_peaceful(const char *handover)
{
	bool same = plu_is_consistent();

	same &= status_is("outgoing", "0");
	same &= status_is("outgoing_address", "0x0");
	same &= status_is("incoming", "0");
	same &= status_is("finished", "0");
	same &= status_is("frozen", "no");
	same &= status_is("handover", handover);
	for (struct plu_device *d = plu.dev; d < plu_end(); d++)
		same &= device_is_ordinary(d);

	return same;
}

/* --- Stages ------------------------------------------------------------------- */

static void name_session(char *name, size_t size, unsigned int number)
{
	snprintf(name, size, "races-%u", number);
}

static void retrieve_sessions(void)
{
	char name[32];

	for (unsigned int i = 0; i < NR_SESSIONS; i++) {
		name_session(name, sizeof(name), i);
		incoming[i] = plu_retrieve_session(name);
	}
}

/* How long it all takes, in seconds. */
static unsigned int time_in_all(void)
{
	char word[16] = "5";

	plu_cmdline("plu.seconds", word, sizeof(word));

	return atoi(word);
}

/* Devices are incoming in the first round of a stage only. */
static unsigned int nr_stages(void)
{
	return 4 + time_in_all() / 10;
}

static unsigned int nr_rounds(void)
{
	return (time_in_all() * 1000 / ROUND_TIME + nr_stages() - 1) / nr_stages();
}

/* How often something was preserved when everybody rested. */
static unsigned int times_outgoing;

static bool rest(void)
{
	times_outgoing += strcmp(plu_status("outgoing"), "0") != 0;

	return plu_is_consistent();
}

/* What does not happen is not tested: what has not happened yet, or NULL. */
static const char *missing(bool with_incoming)
{
	static const unsigned int often[] = {
		OPEN, SESSION, PRESERVE, CLOSE, RAW_PRESERVE, RAW_UNPRESERVE, REMOVE, RESCAN,
		DEBUGFS, CHECK,
	};

	for (size_t i = 0; i < ARRAY_SIZE(often); i++)
		if (!plu_times_done(often[i]))
			return calls[often[i]].what;
	if (with_incoming && !plu_times_done(RETRIEVE))
		return calls[RETRIEVE].what;

	return times_outgoing ? NULL : "resting with something preserved";
}

static void run_rounds(const char *handover)
{
	const bool with_incoming = incoming[0] >= 0;
	bool peaceful = true, any_incoming = with_incoming;
	unsigned int rounds = nr_rounds();
	__u64 seed = plu_seed();

	plu_say("seed 0x%llx", (unsigned long long)seed);
	plu_seed_random(seed);
	plu_set_calls(calls, NR_CALLS);
	/* A busy machine gets more time for what has not happened. */
	for (unsigned int round = 0; peaceful; round++) {
		if (round >= rounds && (round >= 8 * rounds || !missing(false)))
			break;
		sessions_are_short = round % 4 == 2;
		if (round % 2)
			peaceful = plu_work(record_jobs, ARRAY_SIZE(record_jobs), ROUND_TIME,
					    seed + round * 100, rest);
		else
			peaceful = plu_work(jobs, any_incoming ? ARRAY_SIZE(jobs) :
						  NR_OUTGOING_JOBS,
					    ROUND_TIME, seed + round * 100, rest);
		any_incoming = false;
		come_to_rest();
		peaceful &= plu_is_consistent();
		finish_rest();
		peaceful &= is_peaceful(handover);
		if (!peaceful)
			plu_say("after round %u of %u", round + 1, rounds);
	}
	plu_ok(peaceful, "%u rounds end in peace", rounds);
	plu_ok(!plu_show_calls(), "and nothing was refused as it must not be");
	if (missing(with_incoming))
		plu_say("never: %s", missing(with_incoming));
	plu_ok(!missing(with_incoming), "all that can happen did");
}

static void preserve_all(void)
{
	int sessions[NR_SESSIONS];
	struct plu_device *d;
	char name[32];

	for (unsigned int i = 0; i < NR_SESSIONS; i++) {
		name_session(name, sizeof(name), i);
		sessions[i] = plu_session(name);
	}
	for (d = plu.dev; d < plu_end(); d++) {
		d->driver = PLU_DRIVER;
		plu_set_cookie(d, 0x4ace5000 + d->token);
		plu_preserve(sessions[number_of(d)], d);
	}
	plu_check("every device is outgoing");
}

static void first(void)
{
	plu_find_devices(5);
	run_rounds("none");
	plu_skip_log();
	preserve_all();
}

static void with_incoming(void)
{
	struct plu_device *d;

	plu_take_over();
	plu_check("every device is incoming");
	retrieve_sessions();
	run_rounds("finished");

	plu.handover = "finished";
	plu.nr_incoming_files = 0;
	for (d = plu.dev; d < plu_end(); d++)
		d->incoming = PLU_ORDINARY;
	plu_skip_log();
}

static void next(void)
{
	with_incoming();
	if (plu.stage < nr_stages()) {
		preserve_all();
		return;
	}
	for (struct plu_device *d = plu.dev; d < plu_end(); d++)
		plu_set_cookie(d, 0);
	plu_check("nothing is left");
}

#define QUIET	"loglevel=5"

static const struct plu_test test = {
	.name = "races",
	.qemu = topology,
	.stage = {
		{ .run = first, .plan = 4, .cmdline = QUIET },
		{ .run = next, .plan = 5, .cmdline = QUIET },
	},
	.nr_stages = nr_stages,
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
