// SPDX-License-Identifier: GPL-2.0
/*
 * Whose memory the kernel's answers go to may never let them in. That keeps nobody else
 * from using Live Update, nor the kernel from being replaced, in whichever call he is. Nor
 * does who writes to a file from memory that never comes: the file can't be preserved then.
 * When it is, who writes to it gets an error.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libliveupdate.h>

#include "plu.h"

#define FIRST	"user_memory-first"
#define SECOND	"user_memory-second"
#define THIRD	"user_memory-third"
/* In the first one */
#define TOKEN		1
#define STUCK_TOKEN	2
#define WRITTEN_TOKEN	3

static void load_module(void)
{
	if (plu_load_module("external/pci_liveupdate_stuck", ""))
		plu_bail("no memory that can't be written to");
}

static void be_quiet(void)
{
	/* Who runs the test waits for the end of its output. */
	int fd = open("/dev/null", O_RDWR);

	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
}

/* Return when the call is about to answer, and waits. */
static bool gets_stuck(int file, unsigned long request, const void *arg, size_t size)
{
	void *page;
	pid_t pid;
	int fd;

	pid = fork();
	if (pid < 0)
		plu_bail("fork: %s", strerror(errno));
	if (pid > 0)
		return plu_waits(pid);

	be_quiet();
	fd = open("/dev/pci_liveupdate_stuck", O_RDWR);
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (write(fd, arg, size) == (ssize_t)size && page != MAP_FAILED)
		ioctl(file, request, page);
	exit(EXIT_FAILURE);
}

static int make_memory(void)
{
	int memfd = memfd_create("memory", 0);

	if (memfd < 0 || write(memfd, "memory", 6) != 6)
		plu_bail("memfd: %s", strerror(errno));

	return memfd;
}

static int preserve_memory(const char *name)
{
	int session = plu_session(name);

	if (plu_try_preserve(session, make_memory(), TOKEN))
		plu_bail("memory cannot be preserved");

	return session;
}

static void get_stuck_preserving(int session)
{
	struct liveupdate_session_preserve_fd preserve = {
		.size = sizeof(preserve),
		.fd = make_memory(),
		.token = STUCK_TOKEN,
	};
	struct liveupdate_session_get_name get_name = { .size = sizeof(get_name) };

	plu_ok(gets_stuck(session, LIVEUPDATE_SESSION_PRESERVE_FD, &preserve, sizeof(preserve)),
	       "who preserves a file gets stuck");
	plu_ok(gets_stuck(session, LIVEUPDATE_SESSION_GET_NAME, &get_name, sizeof(get_name)),
	       "so does who asks for the name of a session");
}

/* Write to it from memory that is never there. */
static pid_t start_writing(int memfd)
{
	const char *pages;
	pid_t pid = fork();
	int fd;

	if (pid < 0)
		plu_bail("fork: %s", strerror(errno));
	if (pid > 0)
		return pid;

	be_quiet();
	fd = open("/dev/pci_liveupdate_stuck", O_RDWR);
	pages = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0);
	if (pages != MAP_FAILED)
		write(memfd, pages + 4096, 4096);
	exit(EXIT_FAILURE);
}

static void stop_writing(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void preserve_what_is_written(int session)
{
	int memfd = make_memory();
	pid_t writer = start_writing(memfd);

	if (!plu_waits(writer))
		plu_bail("who writes does not wait");
	plu_gives(plu_try_preserve(session, memfd, WRITTEN_TOKEN), -EAGAIN,
		  "what somebody is writing to all the while can't be preserved");
	stop_writing(writer);
	plu_gives(plu_try_preserve(session, memfd, WRITTEN_TOKEN), 0, "later it can");
	plu_ok(!plu_waits(start_writing(memfd)), "who writes to it then does not wait");
}

static void kernel_a(void)
{
	int session;

	load_module();
	plu_find_devices(0);
	session = preserve_memory(FIRST);
	preserve_memory(SECOND);
	preserve_memory(THIRD);
	get_stuck_preserving(session);
	session = plu_session("user_memory-other");
	plu_gives(plu_try_preserve(session, make_memory(), TOKEN), 0, "others are not kept");
	preserve_what_is_written(session);
	plu_close_session(session);
}

/* Nobody else can open the device meanwhile, so this comes last. */
static void get_stuck_creating(void)
{
	struct liveupdate_ioctl_create_session create = {
		.size = sizeof(create),
		.name = "user_memory-created",
	};

	gets_stuck(luo_open_device(), LIVEUPDATE_IOCTL_CREATE_SESSION, &create, sizeof(create));
}

static void kernel_b(void)
{
	struct liveupdate_session_retrieve_fd retrieve = {
		.size = sizeof(retrieve),
		.token = TOKEN,
	};
	struct liveupdate_session_finish finish = { .size = sizeof(finish) };
	int session;

	load_module();
	plu_take_over_some();
	session = plu_retrieve_session(FIRST);
	plu_ok(plu_retrieve_fd(session, STUCK_TOKEN) >= 0,
	       "what was preserved is there, also if nobody was told");
	plu_ok(gets_stuck(session, LIVEUPDATE_SESSION_RETRIEVE_FD, &retrieve, sizeof(retrieve)),
	       "who retrieves a file gets stuck");
	plu_ok(gets_stuck(plu_retrieve_session(SECOND), LIVEUPDATE_SESSION_FINISH, &finish,
			  sizeof(finish)), "so does who finishes a session");
	plu_ok(plu_retrieve_fd(session, TOKEN) >= 0, "another can have the file");
	plu_gives(luo_session_finish(session), 0, "and finish the session");
}

static void get_stuck_retrieving(void)
{
	struct liveupdate_ioctl_retrieve_session retrieve = {
		.size = sizeof(retrieve),
		.name = THIRD,
	};

	gets_stuck(luo_open_device(), LIVEUPDATE_IOCTL_RETRIEVE_SESSION, &retrieve,
		   sizeof(retrieve));
}

static void kernel_c(void)
{
	plu_take_over_some();
	plu_check("the kernel was replaced all the same");
}

static const struct plu_test test = {
	.name = "user_memory",
	.stage = {
		{ .run = kernel_a, .plan = 6, .before_jump = get_stuck_creating },
		{ .run = kernel_b, .plan = 5, .before_jump = get_stuck_retrieving },
		{ .run = kernel_c, .plan = 1 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
