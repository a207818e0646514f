// SPDX-License-Identifier: GPL-2.0
/*
 * The benchmark's part in the guest, for scripts/bench.sh: to be the first process of an
 * initramfs, in a QEMU that counts instructions as time (-icount shift=0), so that a
 * nanosecond is an instruction.
 *
 * On the kernel's command line, at its end:
 *
 *	bench=boot		says that the kernel is up, and what the processor's clock is
 *	bench=jump		jumps into /boot/bzImage with /boot/next.cpio and bench=boot
 *	bench=jump_preserved	the same with all devices preserved that the test driver has
 *	bench=figures stage=0	measures what it costs to preserve N devices that are made up,
 *				and so on, for each of `sizes`. Then preserves the first of
 *				`sizes` and jumps; the next stage sets them up as incoming
 *				ones, finishes them, preserves the second of `sizes`, ...
 *
 * Says, all with the time since the kernel was started, as kernel messages:
 *
 *	bench: tsc NUMBER	before the jump, and when the kernel is up
 *	bench: figure STAGE WHAT N TAKEN FLOOR
 *	bench: done, or error TEXT
 */

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/reboot.h>

#include <libliveupdate.h>

#define DRIVER	"pci_liveupdate_test"
#define RUN	"/sys/kernel/debug/pci_liveupdate_bench/run"
#define SESSION	"bench"

/* The least of so many counts. */
#define ROUNDS	3

/* How many lines in the log are timed. */
#define LINES	64

static const unsigned int sizes[] = { 1, 64, 1024, 16384, 65536 };

static void __printf(1, 2) say(const char *fmt, ...)
{
	/* Shown, however quiet the kernel was told to be. */
	char line[256] = "<1>bench: ";
	int fd = open("/dev/kmsg", O_WRONLY);
	va_list args;

	va_start(args, fmt);
	vsnprintf(line + strlen(line), sizeof(line) - strlen(line), fmt, args);
	va_end(args);
	write(fd, line, strlen(line));
	close(fd);
}

static void __noreturn __printf(1, 2) finish(const char *fmt, ...)
{
	char text[128];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	say("%s", text);
	reboot(LINUX_REBOOT_CMD_POWER_OFF);
	exit(EXIT_FAILURE);
}

static unsigned long long tsc(void)
{
	return __builtin_ia32_rdtsc();
}

static int must(int ret, const char *what)
{
	if (ret < 0)
		finish("error %s: %s", what, strerror(errno));

	return ret;
}

static void mount_all(void)
{
	mkdir("/proc", 0755);
	must(mount("none", "/proc", "proc", 0, NULL), "proc");
	mkdir("/sys", 0755);
	must(mount("none", "/sys", "sysfs", 0, NULL), "sysfs");
	must(mount("none", "/sys/kernel/debug", "debugfs", 0, NULL), "debugfs");
	must(mount("none", "/dev", "devtmpfs", 0, NULL), "devtmpfs");
}

static void load_driver(void)
{
	int fd = must(open("/modules/" DRIVER ".ko", O_RDONLY), DRIVER);

	must(syscall(__NR_finit_module, fd, "", 0), DRIVER);
	close(fd);
}

/* The same command line as now, but for our own words. */
static void load_kernel(const char *initrd, const char *words)
{
	int kernel_fd = must(open("/boot/bzImage", O_RDONLY), "bzImage");
	int initrd_fd = must(open(initrd, O_RDONLY), initrd);
	int fd = must(open("/proc/cmdline", O_RDONLY), "cmdline");
	char line[1024], *ours;
	int len = must(read(fd, line, sizeof(line) - 1), "cmdline");

	line[len] = '\0';
	ours = strstr(line, "bench=");
	if (!ours)
		finish("error no bench= on the command line");
	snprintf(ours, sizeof(line) - (ours - line), "%s", words);
	must(syscall(__NR_kexec_file_load, kernel_fd, initrd_fd, strlen(line) + 1, line, 0),
	     "kexec_file_load");
}

static void __noreturn go(void)
{
	syscall(__NR_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
		LINUX_REBOOT_CMD_KEXEC, NULL);
	finish("error reboot: %s", strerror(errno));
}

/* LUO's functions give a negative errno. */
static int luo_must(int ret, const char *what)
{
	if (ret < 0)
		finish("error %s: %s", what, strerror(-ret));

	return ret;
}

static int session(int (*get)(int luo, const char *name), const char *what)
{
	int luo = luo_must(luo_open_device(), LUO_DEVICE);
	int fd = luo_must(get(luo, SESSION), what);

	close(luo);

	return fd;
}

/* In a new session, all devices that the driver has. */
static int preserve_files(void)
{
	int fd, token = 0, s = session(luo_create_session, "create a session");
	struct dirent entry, *e;
	DIR *dir = opendir("/dev");
	char path[300];

	while (!readdir_r(dir, &entry, &e) && e) {
		if (strncmp(e->d_name, DRIVER, strlen(DRIVER)))
			continue;
		snprintf(path, sizeof(path), "/dev/%s", e->d_name);
		fd = must(open(path, O_RDWR), path);
		luo_must(luo_session_preserve_fd(s, fd, token++), "preserve");
		close(fd);
	}
	closedir(dir);
	if (!token)
		finish("error there is no device to preserve");
	say("preserved %d", token);

	return s;
}

static void finish_file(void)
{
	int s = session(luo_retrieve_session, "retrieve the session");

	close(luo_must(luo_session_retrieve_fd(s, 0), "retrieve"));
	luo_must(luo_session_finish(s), "finish the session");
	close(s);
}

/* An operation of the kernel's part. */
static void run(const char *what, unsigned int n)
{
	int fd = must(open(RUN, O_WRONLY), RUN);
	char text[32];

	snprintf(text, sizeof(text), "%s %u", what, n);
	must(write(fd, text, strlen(text)), text);
	close(fd);
}

static void show(unsigned int stage)
{
	static char text[16384];
	int fd = must(open(RUN, O_RDONLY), RUN), len = 0, got;
	char *line, *end;

	do {
		got = must(read(fd, text + len, sizeof(text) - 1 - len), RUN);
		len += got;
	} while (got);
	close(fd);
	text[len] = '\0';
	for (line = text; (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		say("figure %u %s", stage, line);
	}
}

/* What needs no hand-over. */
static void measure(void)
{
	run("line", LINES);
	for (int round = 0; round < ROUNDS; round++) {
		run("read", 0);
		run("first", 1);
		run("restore", 65536);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (int round = 0; round < ROUNDS; round++) {
			run("setup", sizes[i]);
			run("read", sizes[i]);
		}
		/* Each time with a list that is new. */
		for (int round = 0; round < ROUNDS; round++) {
			int s;

			run("freeze", sizes[i]);
			s = preserve_files();
			run("preserve", sizes[i]);
			run("bytes", sizes[i]);
			run("unpreserve", sizes[i]);
			close(s);
		}
	}
}

static void __noreturn take(unsigned int stage)
{
	char words[64];

	if (stage) {
		run("setup", sizes[stage - 1]);
		run("finish", sizes[stage - 1]);
		finish_file();
	} else {
		measure();
	}
	show(stage);
	if (stage == ARRAY_SIZE(sizes))
		finish("done");

	preserve_files();
	run("preserve", sizes[stage]);
	snprintf(words, sizeof(words), "bench=figures stage=%u", stage + 1);
	/* The kernel keeps it there if it is told to. */
	load_kernel("/sys/firmware/initrd", words);
	go();
}

int main(void)
{
	unsigned long long now = tsc();
	const char *bench = getenv("bench"), *stage = getenv("stage");

	if (!bench)
		finish("error no bench= on the command line");
	if (!strcmp(bench, "boot")) {
		say("tsc %llu", now);
		finish("done");
	}

	mount_all();
	load_driver();
	if (!strcmp(bench, "figures"))
		take(stage ? atoi(stage) : 0);

	load_kernel("/boot/next.cpio", "bench=boot");
	if (!strcmp(bench, "jump_preserved"))
		preserve_files();
	say("tsc %llu", tsc());
	go();
}
