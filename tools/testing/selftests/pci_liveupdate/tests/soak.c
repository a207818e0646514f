// SPDX-License-Identifier: GPL-2.0
/*
 * Kernel after kernel, as many as plu.jumps= says, each handed devices by the one before:
 * in each, devices are retrieved, finished, preserved again before or after that, dropped,
 * removed and found again, in random order. After each step the kernel shows what is
 * expected, and when nothing is left to finish, no memory is gone, however many kernels
 * there were.
 *
 * plu.seed= makes it choose the same again.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "plu.h"

static const char *topology(void)
{
	return "-device pci-testdev,addr=10.0,multifunction=on\n"
		"-device pci-testdev,addr=10.1,multifunction=on\n"
		"-device pci-testdev,addr=10.2,multifunction=on\n"
		"-device edu,addr=10.3,multifunction=on\n"
		"-device edu,addr=11\n"
		"-device pcie-root-port,id=rp1,chassis=1,addr=4\n"
		"-device edu,bus=rp1\n"
		"-device pcie-root-port,id=rp2,chassis=2,addr=5\n"
		"-device x3130-upstream,id=up,bus=rp2\n"
		"-device xio3130-downstream,id=dn1,bus=up,addr=0,chassis=3\n"
		"-device xio3130-downstream,id=dn2,bus=up,addr=1,chassis=4\n"
		"-device xio3130-downstream,id=dn3,bus=up,addr=2,chassis=5\n"
		"-device edu,bus=dn1,addr=0.0,multifunction=on\n"
		"-device pci-testdev,bus=dn1,addr=0.1,multifunction=on\n"
		"-device pci-testdev,bus=dn1,addr=0.2,multifunction=on\n"
		"-device edu,bus=dn2\n"
		"-device pcie-pci-bridge,id=pb1,bus=dn3\n"
		"-device pci-testdev,bus=pb1,addr=1\n"
		"-device pci-testdev,bus=pb1,addr=2\n"
		"-device pcie-pci-bridge,id=pb2,addr=6\n"
		"-device pci-testdev,bus=pb2,addr=1\n"
		"-device edu,bus=pb2,addr=2\n";
}

#define NR_DEVICES	14
#define NR_SESSIONS	4
#define NR_STEPS	12

/* What is not preserved gets other bus numbers in each kernel. */
#define OTHERWISE	"pci=assign-busses,hpbussize=8"

/* The session of a device that is not in any. */
#define NONE		'-'

static struct {
	int fd;			/* or -1 */
	bool is_there;		/* handed over, and not finished */
} incoming[NR_SESSIONS];

static int outgoing[NR_SESSIONS];

/*
 * What the text for the next stage says: the memory use of the first kernel in which it
 * was looked at, and the session of each device. The number of a device is its token, in
 * all kernels.
 */
static struct plu_memory first;
static char sessions[NR_DEVICES + 1];

/* A file can be retrieved once. */
static bool is_retrieved[NR_DEVICES];

/* What is done in this kernel, to be told. */
static unsigned int nr_incoming, nr_finished, nr_dropped, nr_carried, nr_removed;

static bool good;

/* --- One step --------------------------------------------------------------- */

static const char *session_name(unsigned int stage, unsigned int number)
{
	static char name[32];

	snprintf(name, sizeof(name), "soak-%u-%u", stage, number);

	return name;
}

static struct plu_device *any_device(void)
{
	return &plu.dev[plu_random(plu.nr_devices)];
}

static void close_file(struct plu_device *d)
{
	close(d->fd);
	d->fd = -1;
}

static bool is_in(const struct plu_device *d, unsigned int number)
{
	return sessions[d->token - 1] == '0' + (int)number;
}

/* The file of a device may not be retrieved, and is finished with the session anyway. */
static void retrieve_session(unsigned int number)
{
	struct plu_device *d;

	if (!incoming[number].is_there || incoming[number].fd >= 0)
		return;
	incoming[number].fd = plu_retrieve_session(session_name(plu.stage - 1, number));
	for (d = plu.dev; d < plu_end(); d++)
		if (is_in(d, number))
			d->incoming_session = incoming[number].fd;
}

static void retrieve(struct plu_device *d)
{
	unsigned int number = sessions[d->token - 1] - '0';

	if (number >= NR_SESSIONS || incoming[number].fd < 0 ||
	    is_retrieved[d->token - 1])
		return;
	is_retrieved[d->token - 1] = true;
	close_file(d);
	plu_retrieve(incoming[number].fd, d);
	good &= plu_file_is(d->fd, d, d->handed_cookie);
}

static bool all_retrieved(unsigned int number)
{
	struct plu_device *d;

	for (d = plu.dev; d < plu_end(); d++)
		if (is_in(d, number) && !is_retrieved[d->token - 1])
			return false;

	return true;
}

static void finish(unsigned int number)
{
	struct plu_device *d;

	if (incoming[number].fd < 0)
		return;
	/* If all of it was retrieved, it is finished also when it is closed. */
	if (!all_retrieved(number) || plu_random(2))
		plu_finish(incoming[number].fd);
	plu_close_session(incoming[number].fd);
	incoming[number].fd = -1;
	incoming[number].is_there = false;
	for (d = plu.dev; d < plu_end(); d++) {
		if (!is_in(d, number))
			continue;
		nr_finished++;
		sessions[d->token - 1] = NONE;
	}
}

/* A device that is outgoing already cannot be preserved once more. */
static void preserve(struct plu_device *d, unsigned int number)
{
	int fd;

	if (outgoing[number] < 0)
		outgoing[number] = plu_session(session_name(plu.stage, number));
	if (d->outgoing) {
		fd = plu_open(d);
		good &= plu_try_preserve(outgoing[number], fd, d->token + 1000) == -EBUSY;
		close(fd);
		return;
	}
	nr_carried += d->incoming != PLU_ORDINARY;
	/* A file that was retrieved belongs to its session until that ends. */
	close_file(d);
	if (plu_random(2))
		plu_set_cookie(d, 0x50a4000000000000 + (plu.stage << 16) + d->token);
	plu_preserve(outgoing[number], d);
}

static void drop(unsigned int number)
{
	struct plu_device *d;

	if (outgoing[number] < 0)
		return;
	for (d = plu.dev; d < plu_end(); d++) {
		if (d->outgoing_session != outgoing[number])
			continue;
		nr_dropped++;
		close_file(d);
	}
	plu_close_session(outgoing[number]);
	outgoing[number] = -1;
}

/*
 * And find it again, unless that is refused. But a kernel that is told to assign bus
 * numbers, and has none to keep, does so whenever it looks for devices, also where there
 * are some at work: nothing of ours is in that.
 */
static void remove_one(struct plu_device *d)
{
	struct plu_device *top = d;
	int ret;

	if (!plu.keep_buses && plu.stage > 1)
		return;
	if (plu_level(d) && !plu_random(2))
		top = plu_upstream(d, plu_random(plu_level(d)));
	ret = plu_remove(top);
	if (plu_count_outgoing(top)) {
		good &= ret == -EBUSY;
		return;
	}
	good &= !ret;
	nr_removed++;
	for (d = plu.dev; d < plu_end(); d++)
		if (d->absent)
			close_file(d);
	plu_rescan();
}

static void bind_again(struct plu_device *d)
{
	int ret = plu_unbind(d);

	if (d->outgoing) {
		good &= ret == -EBUSY;
		return;
	}
	close_file(d);
	good &= !ret && !plu_bind(d, PLU_DRIVER);
}

static void step(void)
{
	switch (plu_random(10)) {
	case 0:
	case 1:
		retrieve_session(plu_random(NR_SESSIONS));
		break;
	case 2:
	case 3:
		retrieve(any_device());
		break;
	case 4:
		finish(plu_random(NR_SESSIONS));
		break;
	case 5:
	case 6:
		preserve(any_device(), plu_random(NR_SESSIONS));
		break;
	case 7:
		drop(plu_random(NR_SESSIONS));
		break;
	case 8:
		remove_one(any_device());
		break;
	case 9:
		bind_again(any_device());
		break;
	}
}

/* --- A kernel ---------------------------------------------------------------- */

static void begin(void)
{
	for (unsigned int i = 0; i < NR_SESSIONS; i++) {
		incoming[i].fd = -1;
		outgoing[i] = -1;
	}
	memset(sessions, NONE, NR_DEVICES);
	if (plu.stage == 1) {
		plu_find_devices(NR_DEVICES);
		plu.note = plu_seed();
	} else {
		char *text = plu.text;

		plu_take_over();
		first.total = strtol(text, &text, 10);
		first.unknown = strtol(text, &text, 10);
		first.slab = strtol(text, &text, 10);
		memcpy(sessions, text + 1, NR_DEVICES);
	}
	if (plu.nr_devices != NR_DEVICES)
		plu_skip("%u devices instead of %u", plu.nr_devices, NR_DEVICES);
	plu_seed_random(plu.note + plu.stage);
	for (unsigned int i = 0; i < NR_DEVICES; i++) {
		if (sessions[i] == NONE)
			continue;
		incoming[sessions[i] - '0'].is_there = true;
		nr_incoming++;
	}
	plu_say("seed 0x%llx", (unsigned long long)plu.note);
}

/* Nothing is incoming, nothing outgoing, and there is nothing that memory is used for. */
static void finish_all(void)
{
	for (unsigned int i = 0; i < NR_SESSIONS; i++) {
		retrieve_session(i);
		finish(i);
		drop(i);
	}
	for (struct plu_device *d = plu.dev; d < plu_end(); d++)
		close_file(d);
}

/*
 * A kernel that firmware has started has a little more memory, and one that is not to start
 * another uses a little less. Small objects share pages, so their number says little; what
 * is lost of them does not outlive the kernel.
 */
#define FEW	4
#define SOME	128

/* What looks for mistakes in the kernel takes memory as it finds something to look at. */
static bool is_watched(void)
{
	return plu_exists("/sys/kernel/debug/kmemleak") || plu_exists("/sys/kernel/debug/kcsan");
}

/* What ended may still be on its way out, and a first look may have come too early. */
static bool is_as_in_first(void *arg)
{
	struct plu_memory *now = arg;

	*now = plu_read_memory_use();
	if (!first.total)
		return true;
	if (now->total != first.total)
		return false;

	return is_watched() || (now->unknown <= first.unknown + FEW &&
				now->slab <= first.slab + SOME);
}

/* With what is not finished, and may be so much each time, it is not lost. */
static bool is_not_much_more(void *arg)
{
	struct plu_memory *now = arg;

	*now = plu_read_memory_use();

	return !first.total || is_watched() ||
	       (now->total <= first.total && now->unknown <= first.unknown + SOME &&
		now->slab <= first.slab + 2 * SOME);
}

static void say_memory(const struct plu_memory *now)
{
	plu_say("pages: %ld in all, %ld of unknown use, %ld of small objects", now->total,
		now->unknown, now->slab);
}

static bool compare_memory_roughly(void)
{
	struct plu_memory now;
	bool same = plu_wait_for(is_not_much_more, &now);

	if (!same)
		say_memory(&now);

	return same;
}

static bool compare_memory(void)
{
	struct plu_memory now;
	bool same = plu_wait_for(is_as_in_first, &now);

	say_memory(&now);
	if (plu.stage > 1 && (!first.total || now.unknown < first.unknown))
		first = now;

	return same;
}

static void end(void)
{
	unsigned int nr_outgoing = 0;
	struct plu_device *d;

	for (d = plu.dev; d < plu_end(); d++) {
		sessions[d->token - 1] = NONE;
		for (unsigned int i = 0; i < NR_SESSIONS; i++)
			if (d->outgoing && d->outgoing_session == outgoing[i])
				sessions[d->token - 1] = '0' + i;
		nr_outgoing += d->outgoing;
	}
	snprintf(plu.text, sizeof(plu.text), "%ld %ld %ld %s", first.total, first.unknown,
		 first.slab, sessions);
	plu_say("jump %u: %u incoming, %u finished, %u kept, %u outgoing, %u dropped, %u removed",
		plu.stage - 1, nr_incoming, nr_finished, nr_carried, nr_outgoing, nr_dropped,
		nr_removed);
}

static void run(void)
{
	begin();
	plu_check("what was handed over is what this kernel knows");

	good = true;
	for (unsigned int i = 0; i < NR_STEPS && good; i++) {
		step();
		good &= plu_is_as_expected();
	}
	plu_ok(good, "after each step it is as expected");

	/* In every other kernel something may be left that is not finished. */
	if (plu.stage % 2) {
		finish_all();
		plu_ok(plu_is_as_expected() && compare_memory(),
		       "when all is finished, nothing is left, and memory use is what it was");
	} else {
		plu_ok(compare_memory_roughly(), "memory use is about what it was");
	}

	for (unsigned int i = plu_random(NR_DEVICES); i; i--)
		preserve(any_device(), plu_random(NR_SESSIONS));
	end();
}

static const struct plu_test test = {
	.name = "soak",
	.qemu = topology,
	.stage = {
		{ .run = run, .plan = 3 },
		{ .run = run, .plan = 3, .cmdline = OTHERWISE },
	},
	.nr_stages = plu_nr_jumps,
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
