// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of PCI Live Update: files, modules, and pages of memory.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/kernel-page-flags.h>

#include "plu.h"

/* Seconds after which what has not happened is not going to. */
#define DEADLINE	10

int plu_read_fd(int fd, char *buf, size_t size)
{
	size_t len = 0;
	ssize_t ret;

	do {
		ret = syscall(__NR_pread64, fd, buf + len, size - 1 - len, len);
		if (ret < 0)
			return -errno;
		len += ret;
	} while (ret && len < size - 1);
	buf[len] = '\0';

	return len;
}

int plu_read_file(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY);
	int ret;

	buf[0] = '\0';
	if (fd < 0)
		return -errno;
	ret = plu_read_fd(fd, buf, size);
	close(fd);

	return ret;
}

int plu_write_fd(int fd, const char *text)
{
	if (write(fd, text, strlen(text)) < 0)
		return -errno;

	return 0;
}

int plu_write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	int ret;

	if (fd < 0)
		return -errno;
	ret = plu_write_fd(fd, text);
	close(fd);

	return ret;
}

bool plu_exists(const char *path)
{
	return !access(path, F_OK);
}

size_t plu_until(const char *text, char c)
{
	const char *end = strchr(text, c);

	return end ? end - text : strlen(text);
}

bool plu_value(const char *text, const char *key, char *buf, size_t size)
{
	size_t key_len = strlen(key), len;

	for (;;) {
		if (!strncmp(text, key, key_len))
			break;
		text = strchr(text, '\n');
		if (!text)
			return false;
		text++;
	}

	text += key_len;
	len = plu_until(text, '\n');
	if (len >= size)
		return false;
	memcpy(buf, text, len);
	buf[len] = '\0';

	return true;
}

bool plu_cmdline(const char *key, char *buf, size_t size)
{
	static char line[8192];
	size_t key_len = strlen(key), len;
	bool found = false;
	char *word = line;

	if (plu_read_file("/proc/cmdline", line, sizeof(line)) < 0)
		return false;
	line[plu_until(line, '\n')] = '\0';

	/* The last one counts, as it does for the kernel. */
	for (; *word; word += len + !!word[len]) {
		len = plu_until(word, ' ');
		if (strncmp(word, key, key_len) || word[key_len] != '=' ||
		    len - key_len > size)
			continue;
		memcpy(buf, word + key_len + 1, len - key_len - 1);
		buf[len - key_len - 1] = '\0';
		found = true;
	}

	return found;
}

bool plu_wait_seconds(unsigned int seconds, bool (*condition)(void *arg), void *arg)
{
	struct timespec now, start;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (;;) {
		if (condition(arg))
			return true;
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec - start.tv_sec > seconds)
			return false;
		poll(NULL, 0, 1);
	}
}

bool plu_wait_for(bool (*condition)(void *arg), void *arg)
{
	return plu_wait_seconds(DEADLINE, condition, arg);
}

static char state_of(int pid)
{
	char path[32], stat[256];
	const char *end;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (plu_read_file(path, stat, sizeof(stat)) <= 0)
		return '?';
	end = strrchr(stat, ')');

	return end && end[1] ? end[2] : '?';
}

static bool waits_or_has_ended(void *pid)
{
	char state = state_of(*(int *)pid);

	return state == 'D' || state == 'Z';
}

bool plu_waits(int pid)
{
	return plu_wait_for(waits_or_has_ended, &pid) && state_of(pid) == 'D';
}

int plu_load_module(const char *name, const char *parameters)
{
	char path[128], dir[64] = "/modules";
	const char *env = getenv("PLU_MODULES");
	int fd, ret = 0;

	if (env)
		snprintf(dir, sizeof(dir), "%s", env);
	else if (plu_cmdline("plu.modules", dir, sizeof(dir)) &&
		 !strcmp(dir, "none"))
		snprintf(dir, sizeof(dir), "/modules");

	snprintf(path, sizeof(path), "%s/%s.ko", dir, name);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return -errno;
	if (syscall(__NR_finit_module, fd, parameters, 0))
		ret = -errno;
	close(fd);

	return ret;
}

int plu_unload_module(const char *name)
{
	return syscall(__NR_delete_module, name, O_NONBLOCK) ? -errno : 0;
}

/* Pages that are free, or whose user is known not to be the kernel itself. */
static const unsigned int given_back[] = {
	KPF_BUDDY, KPF_ANON, KPF_MMAP, KPF_LRU, KPF_SLAB, KPF_PGTABLE,
};

static int open_page_flags(void)
{
	int fd = open("/proc/kpageflags", O_RDONLY);

	if (fd < 0)
		plu_bail("/proc/kpageflags: %s (CONFIG_PROC_PAGE_MONITOR?)",
			 strerror(errno));

	return fd;
}

static __u64 page_flags(__u64 phys)
{
	int fd = open_page_flags();
	__u64 flags;
	ssize_t ret;

	ret = syscall(__NR_pread64, fd, &flags, sizeof(flags),
		      phys / getpagesize() * sizeof(flags));
	close(fd);
	if (ret != sizeof(flags))
		plu_bail("/proc/kpageflags: cannot read about 0x%llx",
			 (unsigned long long)phys);

	return flags;
}

static bool is_given_back(__u64 phys)
{
	__u64 flags = page_flags(phys);

	for (size_t i = 0; i < ARRAY_SIZE(given_back); i++)
		if (flags >> given_back[i] & 1)
			return true;

	return false;
}

bool plu_page_in_use(__u64 phys)
{
	return phys && !(page_flags(phys) >> KPF_NOPAGE & 1) && !is_given_back(phys);
}

/* Have memory mapped, a page in every step, until the page turns up. */
static bool ask_for_memory(__u64 phys, size_t pages, size_t step, int advice)
{
	bool found = is_given_back(phys);
	size_t size = pages * step;
	char *map;

	map = mmap(NULL, size, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED)
		plu_bail("mmap: %s", strerror(errno));
	/* This fails if there are none. */
	syscall(__NR_madvise, map, size, MADV_NOHUGEPAGE);

	for (size_t i = 0; i < pages && !found; i++) {
		if (syscall(__NR_madvise, map + i * step, getpagesize(), advice))
			plu_bail("madvise: %s", strerror(errno));
		if (!(i % 16))
			found = is_given_back(phys);
	}
	munmap(map, size);

	return found;
}

/*
 * A page that was just freed lies on a list of the processor that freed it, where
 * nothing tells it from one in use. It leaves that list for who asks this processor
 * for memory of the same kind. So ask each processor, for memory of one's own and
 * for page tables: this ends when the page is seen to be free or to be somebody's,
 * most likely this one's.
 *
 * To be called as soon as the page should be free, before the kernel uses it for
 * something that has no mark either.
 */
bool plu_page_given_back(__u64 phys)
{
	const size_t size = getpagesize();
	/* What one page of a page table maps. */
	const size_t mapped = size / sizeof(void *) * size;
	unsigned long cpu;
	bool found = false;

	/* Few pages at first: there are seldom many on the lists. */
	for (size_t pages = 512; pages <= 8192 && !found; pages *= 4) {
		for (unsigned int n = 0; n < 8 * sizeof(cpu) && !found; n++) {
			cpu = 1UL << n;
			if (syscall(__NR_sched_setaffinity, 0, sizeof(cpu), &cpu))
				continue;
			/* To read takes a page table, and the page of zeros. */
			found = ask_for_memory(phys, pages, mapped,
					       MADV_POPULATE_READ) ||
				ask_for_memory(phys, pages, size,
					       MADV_POPULATE_WRITE);
		}
	}
	cpu = -1UL;
	syscall(__NR_sched_setaffinity, 0, sizeof(cpu), &cpu);

	return found;
}

/* The pages on the lists that each processor has of its own: they are free. */
static long pages_on_lists(void)
{
	static const char word[] = "count:";
	static char text[32768];
	long pages = 0;
	char *line;

	if (plu_read_file("/proc/zoneinfo", text, sizeof(text)) <= 0)
		plu_bail("cannot read /proc/zoneinfo");
	for (line = strstr(text, word); line; line = strstr(line, word)) {
		line += sizeof(word) - 1;
		pages += strtol(line, NULL, 10);
	}

	return pages;
}

void plu_for_pages_of_unknown_use(void (*f)(__u64 phys, void *arg), void *arg)
{
	const int page_size = getpagesize();
	int fd = open_page_flags();
	static __u64 flags[4096];
	__u64 phys = 0;
	ssize_t len;

	do {
		len = read(fd, flags, sizeof(flags));
		for (ssize_t i = 0; i < len / (ssize_t)sizeof(*flags); i++, phys += page_size)
			if (!flags[i])
				f(phys, arg);
	} while (len > 0);
	close(fd);
}

static void count_page(__u64 phys, void *pages)
{
	++*(long *)pages;
}

long plu_pages_of_unknown_use(void)
{
	long pages = 0;

	plu_for_pages_of_unknown_use(count_page, &pages);

	return pages - pages_on_lists();
}

static int open_memory(void)
{
	int fd = open("/dev/mem", O_RDWR);

	if (fd < 0)
		plu_skip("/dev/mem: %s", strerror(errno));

	return fd;
}

void plu_write_memory(__u64 phys, const void *data, size_t size)
{
	int fd = open_memory();

	if (syscall(__NR_pwrite64, fd, data, size, phys) != (long)size)
		plu_skip("/dev/mem: cannot write: %s (CONFIG_STRICT_DEVMEM?)",
			 strerror(errno));
	close(fd);
}

void plu_read_memory(__u64 phys, void *data, size_t size)
{
	int fd = open_memory();

	if (syscall(__NR_pread64, fd, data, size, phys) != (long)size)
		plu_skip("/dev/mem: cannot read: %s (CONFIG_STRICT_DEVMEM?)",
			 strerror(errno));
	close(fd);
}

bool plu_memory_is(__u64 phys, const void *data, size_t size)
{
	char is[256];

	if (size > sizeof(is))
		plu_bail("so much memory cannot be compared");
	plu_read_memory(phys, is, size);

	return !memcmp(is, data, size);
}

/* A page that was given back may have been put to a use that has no mark, but not with this. */
bool plu_page_is_kept(__u64 phys, const void *begin, size_t size)
{
	return plu_page_in_use(phys) && plu_memory_is(phys, begin, size) &&
	       !plu_page_given_back(phys);
}

__u64 plu_physical(const void *address)
{
	/* An entry is the number of a page frame, below flags, of which one says it is there. */
	const __u64 present = 1ULL << 63, frame = (1ULL << 55) - 1;
	int fd = open("/proc/self/pagemap", O_RDONLY);
	size_t size = getpagesize();
	__u64 entry = 0;

	if (fd < 0)
		plu_bail("/proc/self/pagemap: %s (CONFIG_PROC_PAGE_MONITOR?)", strerror(errno));
	syscall(__NR_pread64, fd, &entry, sizeof(entry),
		(unsigned long)address / size * sizeof(entry));
	close(fd);
	if (!(entry & present) || !(entry & frame))
		plu_bail("/proc/self/pagemap: no page at 0x%lx", (unsigned long)address);

	return (entry & frame) * size + (unsigned long)address % size;
}
