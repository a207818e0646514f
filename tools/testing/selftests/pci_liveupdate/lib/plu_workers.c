// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of PCI Live Update: processes that do things at the same time, for a while, and
 * what came of them.
 */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "plu.h"

#define MAX_WORKERS	16
#define MAX_CALLS	32

/* How long a worker may take to end, in seconds: longer than anything in the kernel. */
#define DEADLINE	90

/* What the workers and who waits for them share. */
struct shared {
	bool stop;		/* What they do; they keep what they have, */
	bool leave;		/* until they may end. */
	unsigned int resting;
	struct {
		int pid;
		const char *job;
		const char *doing;
	} worker[MAX_WORKERS];
	struct {
		unsigned int done;
		unsigned int refused;
		unsigned int wrong;
		int error;	/* the first that was wrong */
	} tally[MAX_CALLS];
};

static struct shared *shared;
static const struct plu_call *calls;
static unsigned int nr_calls, self;
static bool refused;

/* --- Inside a worker ------------------------------------------------------------ */

static void add(unsigned int *count)
{
	__atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
}

int plu_call(unsigned int call, int ret)
{
	if (ret >= 0) {
		add(&shared->tally[call].done);
		return ret;
	}
	refused = true;

	for (const int *allowed = calls[call].errors; *allowed; allowed++) {
		if (ret == -*allowed) {
			add(&shared->tally[call].refused);
			return ret;
		}
	}
	shared->tally[call].error = ret;
	add(&shared->tally[call].wrong);

	return ret;
}

void plu_about_to(unsigned int call)
{
	shared->worker[self].doing = calls[call].what;
}

static void __noreturn work(unsigned int number, const struct plu_job *job, __u64 seed)
{
	self = number;
	plu_seed_random(seed + number);
	while (!__atomic_load_n(&shared->stop, __ATOMIC_ACQUIRE)) {
		refused = false;
		job->step();
		/* Nobody is to be kept from changing what it was refused for. */
		if (refused)
			poll(NULL, 0, 1);
	}
	if (job->last)
		job->last();
	shared->worker[self].doing = "resting";
	add(&shared->resting);
	while (!__atomic_load_n(&shared->leave, __ATOMIC_ACQUIRE))
		poll(NULL, 0, 1);
	shared->worker[self].doing = "ending";
	exit(EXIT_SUCCESS);
}

/* --- Outside --------------------------------------------------------------------- */

static long milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);

	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void start(unsigned int number, const struct plu_job *job, __u64 seed)
{
	int pid;

	shared->worker[number].job = job->name;
	shared->worker[number].doing = "starting";
	pid = fork();
	if (pid < 0)
		plu_bail("fork: %s", strerror(errno));
	if (!pid)
		work(number, job, seed);
	shared->worker[number].pid = pid;
}

static void show_hanging(unsigned int number)
{
	static char stack[4096];
	char path[64];

	plu_say("worker %s hangs: %s", shared->worker[number].job,
		shared->worker[number].doing);
	snprintf(path, sizeof(path), "/proc/%d/stack", shared->worker[number].pid);
	if (plu_read_file(path, stack, sizeof(stack)) > 0)
		plu_say("%s", stack);
}

/* How many are there still? None should be that has not ended as it should. */
static unsigned int count_workers(unsigned int nr_workers)
{
	unsigned int left = 0;
	int status;

	for (unsigned int i = 0; i < nr_workers; i++) {
		int pid = shared->worker[i].pid;

		if (!pid)
			continue;
		if (waitpid(pid, &status, WNOHANG) != pid) {
			left++;
			continue;
		}
		if (status)
			plu_bail("worker %s: ended with status 0x%x, last seen %s",
				 shared->worker[i].job, status, shared->worker[i].doing);
		shared->worker[i].pid = 0;
	}

	return left;
}

/* Wait until all rest, or have ended. If they don't, nobody can tell what else is wrong. */
static void wait_for_all(unsigned int nr_workers, bool until_ended)
{
	const long end = milliseconds() + DEADLINE * 1000L;
	unsigned int left;

	do {
		left = count_workers(nr_workers);
		if (!until_ended)
			left = nr_workers - __atomic_load_n(&shared->resting, __ATOMIC_ACQUIRE);
		if (!left)
			return;
		poll(NULL, 0, 1);
	} while (milliseconds() < end);

	for (unsigned int i = 0; i < nr_workers; i++)
		if (shared->worker[i].pid)
			show_hanging(i);
	plu_bail("%u workers hang", left);
}

bool plu_work(const struct plu_job *jobs, unsigned int nr_jobs, long time, __u64 seed,
	      bool (*check)(void))
{
	bool good;

	__atomic_store_n(&shared->stop, false, __ATOMIC_RELEASE);
	__atomic_store_n(&shared->leave, false, __ATOMIC_RELEASE);
	shared->resting = 0;
	for (unsigned int i = 0; i < nr_jobs; i++)
		start(i, &jobs[i], seed);
	poll(NULL, 0, time);
	__atomic_store_n(&shared->stop, true, __ATOMIC_RELEASE);
	wait_for_all(nr_jobs, false);
	good = check();
	__atomic_store_n(&shared->leave, true, __ATOMIC_RELEASE);
	wait_for_all(nr_jobs, true);

	return good;
}

void plu_set_calls(const struct plu_call *table, unsigned int nr)
{
	if (nr > MAX_CALLS)
		plu_bail("%u calls are too many", nr);
	calls = table;
	nr_calls = nr;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		plu_bail("mmap: %s", strerror(errno));
}

unsigned int plu_show_calls(void)
{
	unsigned int wrong = 0;

	for (unsigned int i = 0; i < nr_calls; i++) {
		plu_say("%s: %u times done, %u times refused", calls[i].what,
			shared->tally[i].done, shared->tally[i].refused);
		if (!shared->tally[i].wrong)
			continue;
		plu_say("%s: %u times refused as it must not be, with %d for one",
			calls[i].what, shared->tally[i].wrong, shared->tally[i].error);
		wrong++;
	}

	return wrong;
}

unsigned int plu_times_done(unsigned int call)
{
	return shared->tally[call].done;
}
