// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of PCI Live Update: allocations that fail, with the kernel's fault injection.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/mman.h>

#include "plu.h"

static void write_or_skip(const char *path, const char *text)
{
	int ret = plu_write_file(path, text);

	if (ret)
		plu_skip("%s: %s (CONFIG_FAULT_INJECTION_DEBUG_FS?)", path, strerror(-ret));
}

/* All that a process allocates for itself is to fail, if the process is marked. */
static void arm(const char *kind)
{
	static const struct {
		const char *file;
		const char *value;
	} settings[] = {
		{ "ignore-gfp-wait", "N" }, { "verbose", "0" }, { "task-filter", "Y" },
		{ "times", "-1" }, { "probability", "100" },
	};
	char path[64];

	for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
		snprintf(path, sizeof(path), "/sys/kernel/debug/%s/%s", kind,
			 settings[i].file);
		write_or_skip(path, settings[i].value);
	}
}

/* These stay open, for to open them takes memory. */
static int fail_nth = -1, make_it_fail = -1;

static int open_or_skip(const char *path)
{
	int fd = open(path, O_RDWR);

	if (fd < 0)
		plu_skip("%s: %s (CONFIG_FAULT_INJECTION?)", path, strerror(errno));

	return fd;
}

static void arm_all(void)
{
	if (fail_nth >= 0)
		return;

	arm("failslab");
	arm("fail_page_alloc");
	write_or_skip("/sys/kernel/debug/fail_page_alloc/min-order", "0");
	write_or_skip("/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem", "N");
	fail_nth = open_or_skip("/proc/self/fail-nth");
	make_it_fail = open_or_skip("/proc/self/make-it-fail");
	/* A page that is missing is asked for until it is there. */
	if (syscall(__NR_mlockall, MCL_CURRENT))
		plu_bail("mlockall: %s", strerror(errno));
}

static void set_failing(unsigned int nth, bool later)
{
	char number[16];
	int ret;

	arm_all();
	snprintf(number, sizeof(number), "%u", nth);
	ret = plu_write_fd(make_it_fail, later ? "1" : "0") ?:
	      plu_write_fd(fail_nth, number);
	if (ret)
		plu_bail("allocations cannot be made to fail: %s", strerror(-ret));
}

void plu_fail_nth(unsigned int nth)
{
	set_failing(nth, false);
}

/* With one alone much is tried again, and works. */
void plu_fail_from(unsigned int nth)
{
	/* As long as there is an n-th to come, this alone counts. */
	set_failing(nth, true);
}

bool plu_did_fail(void)
{
	char number[16];
	ssize_t len;

	/* How many are to go: 0 when it has failed. */
	len = syscall(__NR_pread64, fail_nth, number, sizeof(number) - 1, 0);
	set_failing(0, false);
	if (len <= 0)
		plu_bail("/proc/self/fail-nth: cannot read");
	number[len] = '\0';

	return !atoi(number);
}

/* --- One allocation after the other ----------------------------------------- */

/* Far more than anything here takes. */
#define MANY	3000

struct tally {
	unsigned int failed;	/* an allocation did */
	unsigned int refused;	/* so the call gave an error */
	unsigned int wrong;	/* nothing that may be */
};

static void wrong(struct tally *tally, const struct plu_attempt *a, unsigned int nth,
		  bool later, const char *how, int ret)
{
	if (tally->wrong++ < 5)
		plu_say("%s, allocation %u%s: %s: %d", a->what, nth,
			later ? " and later ones" : "", how, ret);
}

/* Return whether there was an n-th allocation. */
static bool try_one(const struct plu_attempt *a, unsigned int nth, bool later, bool look,
		    struct tally *tally)
{
	bool did_fail;
	int ret;

	if (later)
		plu_fail_from(nth);
	else
		plu_fail_nth(nth);
	ret = a->call();
	did_fail = plu_did_fail();

	tally->failed += did_fail;
	tally->refused += !!ret;
	if (ret && (!did_fail || a->cannot_fail))
		wrong(tally, a, nth, later, "refused", ret);
	else if (ret && ret != -ENOMEM && ret != a->or_error)
		wrong(tally, a, nth, later, "refused in another way", ret);

	if (a->settle)
		a->settle(ret);
	if (!ret && a->undo)
		a->undo();
	if (look && !(a->is_same ?: plu_is_as_expected)())
		wrong(tally, a, nth, later, "something is left of what gave", ret);
	if (!ret || !look)
		return did_fail;

	ret = a->call();
	if (a->settle)
		a->settle(ret);
	if (ret)
		wrong(tally, a, nth, later, "cannot be done afterwards", ret);
	else if (a->undo)
		a->undo();

	return did_fail;
}

static struct tally try_all(const struct plu_attempt *a, bool later, bool look)
{
	struct tally tally = {};
	unsigned int nth = 1;

	while (try_one(a, nth, later, look, &tally))
		if (nth++ == MANY)
			plu_bail("%s: takes ever more memory", a->what);

	return tally;
}

static void show(const struct plu_attempt *a, bool later)
{
	struct tally tally = try_all(a, later, true);

	plu_say("%s: %u allocations, each %s: %u times refused, %u times done all the same",
		a->what, tally.failed, later ? "with all that come later" : "alone",
		tally.refused, tally.failed - tally.refused);
	if (a->cannot_fail)
		plu_ok(!tally.wrong, "%s: also without memory, %s", a->what,
		       later ? "from each allocation on" : "for each allocation alone");
	else
		plu_ok(!tally.wrong && tally.refused,
		       "%s: refused without a trace if allocations fail, %s", a->what,
		       later ? "from each one on" : "each one alone");
}

/* --- Memory that is lost ---------------------------------------------------- */

#define SLABS	"/sys/kernel/slab"

/* How many objects there are of each kind, and pages of which nobody can tell the use. */
struct memory {
	struct {
		char name[32];
		long objects;
	} cache[256];
	unsigned int nr_caches;
	long pages;
};

/* Free objects are kept at hand. Have them given back, so that they do not count. */
static void shrink_caches(void)
{
	struct dirent entry, *e;
	char path[300];
	DIR *dir;

	dir = opendir(SLABS);
	if (!dir)
		plu_skip(SLABS ": %s (CONFIG_SLUB_DEBUG?)", strerror(errno));
	while (!readdir_r(dir, &entry, &e) && e) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), SLABS "/%s/shrink", e->d_name);
		plu_write_file(path, "1");
	}
	closedir(dir);
}

/* Each processor keeps some objects at hand: what is theirs would come and go. */
static void stay_on_processor(void)
{
	unsigned long first = 1;

	if (syscall(__NR_sched_setaffinity, 0, sizeof(first), &first))
		plu_bail("sched_setaffinity: %s", strerror(errno));
}

static void measure(struct memory *memory)
{
	static char text[32768];
	char *line;

	shrink_caches();
	memory->pages = plu_pages_of_unknown_use();
	memory->nr_caches = 0;
	if (plu_read_file("/proc/slabinfo", text, sizeof(text)) <= 0)
		plu_skip("/proc/slabinfo: cannot read (CONFIG_SLUB_DEBUG?)");

	/* Two lines of headings, then: name, objects, and more numbers. */
	line = strchr(strchr(text, '\n') + 1, '\n') + 1;
	for (; *line && memory->nr_caches < ARRAY_SIZE(memory->cache); line++) {
		size_t len = plu_until(line, ' ');

		snprintf(memory->cache[memory->nr_caches].name,
			 sizeof(memory->cache->name), "%.*s", (int)len, line);
		memory->cache[memory->nr_caches++].objects = strtol(line + len, NULL, 10);
		line += plu_until(line, '\n');
	}
}

static long objects_of(const struct memory *memory, const char *name)
{
	for (unsigned int i = 0; i < memory->nr_caches; i++)
		if (!strcmp(memory->cache[i].name, name))
			return memory->cache[i].objects;

	return 0;
}

struct growth {
	struct memory before, now;
	long allowed, allowed_pages;
};

/* What was mapped with it is unmapped some time later. */
static bool is_kept(const char *name)
{
	return !strcmp(name, "vmap_area");
}

static bool has_grown(const struct growth *g, unsigned int i)
{
	const char *name = g->now.cache[i].name;

	return g->now.cache[i].objects > objects_of(&g->before, name) + g->allowed &&
	       !is_kept(name);
}

static bool has_not_grown(void *arg)
{
	struct growth *g = arg;
	bool grown = false;

	measure(&g->now);
	for (unsigned int i = 0; i < g->now.nr_caches; i++)
		grown |= has_grown(g, i);

	return !grown && g->now.pages <= g->before.pages + g->allowed_pages;
}

static void say_growth(const struct growth *g)
{
	for (unsigned int i = 0; i < g->now.nr_caches; i++)
		if (has_grown(g, i))
			plu_say("%s: %ld objects, %ld before", g->now.cache[i].name,
				g->now.cache[i].objects,
				objects_of(&g->before, g->now.cache[i].name));
	if (g->now.pages > g->before.pages + g->allowed_pages)
		plu_say("%ld pages, %ld before", g->now.pages, g->before.pages);
}

static bool is_lost(void (*once)(void), unsigned int rounds)
{
	static struct growth g;

	measure(&g.before);
	measure(&g.before);
	for (unsigned int i = 0; i < rounds; i++) {
		once();
		plu_read_log();
	}

	/* One object in each round is too much. */
	g.allowed = rounds * 4 / 5;
	/* Those that are free on the lists of processors are known roughly only. */
	g.allowed_pages = g.allowed > 64 ? g.allowed : 64;
	if (plu_wait_for(has_not_grown, &g))
		return false;
	say_growth(&g);

	return true;
}

void plu_find_leaks(const char *what, void (*once)(void), unsigned int rounds)
{
	const unsigned int first = rounds / 4 + 1;
	/* KASAN keeps some memory; kmemleak tells of all, at the end. */
	const bool watched = plu_exists("/sys/kernel/debug/kmemleak");
	bool lost = !watched;

	stay_on_processor();
	/* At first some memory is taken for good, to be at hand. */
	for (unsigned int i = 0; i < first; i++)
		once();
	/* Others take memory, too, now and then: what is lost is lost each time. */
	for (int i = 0; i < 4 && lost; i++)
		lost = is_lost(once, rounds);
	if (watched)
		plu_ok(true, "%s: %u times, for kmemleak to tell what is lost", what, first);
	else
		plu_ok(!lost, "%s: no memory is lost over %u times", what, rounds);
}

static const struct plu_attempt *current;

static void try_current(void)
{
	try_all(current, false, false);
	try_all(current, true, false);
}

void plu_fail_each(const struct plu_attempt *a)
{
	show(a, false);
	show(a, true);
	current = a;
	if (a->rounds)
		plu_find_leaks(a->what, try_current, a->rounds);
}
