// SPDX-License-Identifier: GPL-2.0
/*
 * There is no memory, at each place where some is asked for, while files of vfio-pci are
 * preserved, unpreserved and retrieved. What was begun is refused, nothing is left of it,
 * and it works once there is memory. So does what is refused when there are too many open
 * files. Memory comes back whole, however often it was asked for in vain.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/capability.h>

#include <libliveupdate.h>

#include "vlu.h"

#define SESSION		"vfio-faults"
#define QUIET		" loglevel=5"	/* what works well is not worth the time to show it */
#define ROUNDS		16

static const char *topology(void)
{
	return "-device edu";
}

/* Some pages in the middle are missing. Of what is asked for, each has another refused. */
#define MEMORY_SESSION	"vfio-faults-memory"
#define MEMORY_SIZE	(7 * 4096)
#define MEMORY_TOKEN	0x3e3
#define NR_MEMORIES	100
static const unsigned int pages[] = { 0, 1, 4, 6 };

static struct plu_device *d;
static int session, memory_session;

static int preserve(void)
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

static const struct plu_attempt preserving = {
	.what = "a file is preserved",
	.call = preserve,
	.settle = settle_preserved,
	.undo = end_session,
	.rounds = ROUNDS,
}, unpreserving = {
	.what = "its session is closed",
	.call = close_session,
	.undo = preserve_again,
	.cannot_fail = true,
};

static void preserve_memories(void)
{
	struct vlu_memory memory;

	memory_session = plu_session(MEMORY_SESSION);
	for (unsigned int i = 0; i < NR_MEMORIES; i++) {
		vlu_create_memory(&memory, NULL, MEMORY_SIZE, 0);
		for (size_t n = 0; n < ARRAY_SIZE(pages); n++)
			vlu_fill(memory.region.vaddr + pages[n] * 4096, i + n);
		if (plu_try_preserve(memory_session, memory.fd, MEMORY_TOKEN + i))
			plu_bail("memory cannot be preserved");
		munmap(memory.region.vaddr, MEMORY_SIZE);
		close(memory.fd);
	}
}

static void kernel_a(void)
{
	vlu_load_driver(true);
	plu_find_devices(1);
	d = plu.dev;
	vlu_bind(d);
	vlu_open(d, iommu_init("iommufd"));

	session = plu_session(SESSION);
	plu_fail_each(&preserving);
	plu_preserve(session, d);
	plu_fail_each(&unpreserving);
	preserve_memories();
	plu_check("the device is outgoing");
}

/* Is it what it was? */
static bool is_whole(int fd, unsigned int i)
{
	struct vlu_memory memory = { .fd = fd };
	static const unsigned char empty[4096];
	bool is_whole;

	is_whole = lseek(fd, 0, SEEK_END) == MEMORY_SIZE;
	vlu_map_memory(&memory, NULL, MEMORY_SIZE, 0);
	for (size_t n = 0; n < ARRAY_SIZE(pages); n++)
		is_whole &= vlu_is_filled(memory.region.vaddr + pages[n] * 4096, i + n);
	is_whole &= !memcmp(memory.region.vaddr + 2 * 4096, empty, 4096);
	munmap(memory.region.vaddr, MEMORY_SIZE);

	return is_whole;
}

/*
 * Let the n-th allocation fail, or all from there on, each with memory of its own, from
 * the i-th on; return how many times something was not as it should be.
 */
static unsigned int retrieve_memories(void (*fail)(unsigned int nth), unsigned int *i)
{
	unsigned int nth = 0, refused = 0, wrong = 0;
	bool did_fail;
	int ret;

	do {
		fail(++nth);
		ret = plu_retrieve_fd(memory_session, MEMORY_TOKEN + *i);
		did_fail = plu_did_fail();
		refused += ret < 0;
		/* A file system without memory for another file says that it is full. */
		wrong += ret < 0 && ((ret != -ENOMEM && ret != -ENOSPC) || !did_fail);
		if (ret < 0)
			ret = plu_retrieve_fd(memory_session, MEMORY_TOKEN + *i);
		if (ret < 0 || !is_whole(ret, *i)) {
			plu_say("memory is lost with allocation %u: %d", nth, ret);
			wrong++;
		}
		close(ret);
		++*i;
	} while (did_fail && *i < NR_MEMORIES);
	plu_say("%u allocations: %u times refused", nth - 1, refused);

	return wrong + did_fail + !refused;
}

static int retrieve(void)
{
	int ret = plu_retrieve_fd(session, d->token);

	if (ret < 0)
		return ret;
	d->fd = ret;

	return 0;
}

/* Who closes it can have it once more. */
static void close_file(void)
{
	close(d->fd);
	d->fd = -1;
}

static bool is_incoming(void)
{
	return plu_is_incoming(d) && plu_is_consistent() && vlu_try_open(d) == -EBUSY;
}

static const struct plu_attempt retrieving = {
	.what = "a file is retrieved",
	.call = retrieve,
	.undo = close_file,
	.is_same = is_incoming,
	.rounds = ROUNDS,
};

/* There is to be no other file in this process, or in all. */
static int retrieve_as_last(int session, __u64 token)
{
	struct rlimit limit, none = {};
	int ret;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		plu_bail("getrlimit: %s", strerror(errno));
	none.rlim_max = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &none);
	ret = plu_retrieve_fd(session, token);
	setrlimit(RLIMIT_NOFILE, &limit);

	return ret;
}

/* It does not count for who has this capability. */
static void set_admin(bool on)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(__NR_capget, &header, data))
		plu_bail("capget: %s", strerror(errno));
	if (on)
		data[0].effective |= 1U << CAP_SYS_ADMIN;
	else
		data[0].effective &= ~(1U << CAP_SYS_ADMIN);
	if (syscall(__NR_capset, &header, data))
		plu_bail("capset: %s", strerror(errno));
}

static int retrieve_as_last_of_all(int session, __u64 token)
{
	char max[32];
	int others[128];
	int ret;

	/* The kernel does not count exactly while there are few. */
	for (unsigned int i = 0; i < ARRAY_SIZE(others); i++)
		others[i] = open("/dev/null", O_RDONLY);
	if (plu_read_file("/proc/sys/fs/file-max", max, sizeof(max)) <= 0 ||
	    plu_write_file("/proc/sys/fs/file-max", "1"))
		plu_bail("file-max can't be changed");
	set_admin(false);
	ret = plu_retrieve_fd(session, token);
	set_admin(true);
	plu_write_file("/proc/sys/fs/file-max", max);
	for (unsigned int i = 0; i < ARRAY_SIZE(others); i++)
		close(others[i]);

	return ret;
}

static void kernel_b(void)
{
	unsigned int i = 0;
	int ret;

	vlu_load_driver(true);
	plu_take_over();
	d = plu.dev;
	plu_check("the device is incoming");
	session = plu_retrieve_session(SESSION);
	memory_session = plu_retrieve_session(MEMORY_SESSION);
	plu_gives(retrieve_as_last(session, d->token), -EMFILE,
		  "a process with too many files can't retrieve one");
	plu_gives(retrieve_as_last_of_all(session, d->token), -ENFILE, "nor can one of too many");
	plu_gives(retrieve_as_last_of_all(memory_session, MEMORY_TOKEN), -ENFILE, "nor memory");
	plu_ok(is_incoming(), "the device stays what it is");
	plu_fail_each(&retrieving);
	plu_gives(retrieve_memories(plu_fail_nth, &i), 0,
		  "memory comes back whole when any allocation has failed");
	plu_gives(retrieve_memories(plu_fail_from, &i), 0, "and when all that follow have");
	for (ret = 0; i < NR_MEMORIES && ret >= 0; i++)
		ret = plu_retrieve_fd(memory_session, MEMORY_TOKEN + i);
	plu_gives(luo_session_finish(memory_session), 0, "its session is finished");

	vlu_retrieve(session, d, iommu_init("iommufd"));
	plu_finish(session);
	plu_check("so is the device");
}

static const struct plu_test test = {
	.name = "vfio_faults",
	.qemu = topology,
	.stage = {
		{ .run = kernel_a, .plan = 2 * PLU_FAIL_RESULTS,
		  .cmdline = VLU_CMDLINE_NO_IOMMU QUIET },
		{ .run = kernel_b, .plan = 9 + PLU_FAIL_RESULTS,
		  .cmdline = VLU_CMDLINE_NO_IOMMU QUIET },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
