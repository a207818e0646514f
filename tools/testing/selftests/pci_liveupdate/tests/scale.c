// SPDX-License-Identifier: GPL-2.0
/*
 * A session of many devices costs as much for each of them as one of few: to preserve it, to
 * freeze it when the kernel is replaced, to retrieve and to finish it.
 *
 * One kernel hands over all devices that there are, the next one half, and the last one a
 * quarter. The others are removed before, as what is not handed over may cost something, too.
 * In one kernel they were preserved, so that there was room for more records than are left:
 * what it hands over can be read all the same.
 */

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <libliveupdate.h>

#include "plu.h"
#include "stopwatch.h"

#define DEVICES		1000

/* Those on the root bus that have the devices behind them; and the slot of the first one */
#define BRIDGES		8
#define FIRST_SLOT	4

#define JUMPS		3
#define SESSION		"scale"
#define OTHERS		"scale-others"
#define NOTES		"scale-notes"

enum { PRESERVE, FREEZE, RETRIEVE, FINISH, NR_STEPS };

static const char * const steps[] = { "preserve", "freeze", "retrieve", "finish" };

/* What a session costs, in instructions */
struct figures {
	unsigned int devices;
	__u64 cost[NR_STEPS];
};

static struct {
	struct stopwatch jump;
	struct figures figures[JUMPS];
} notes;

static char names[DEVICES][40];
static int fds[DEVICES];
static unsigned int nr_devices;

/*
 * A bridge has 248 devices at most. SeaBIOS gives each a page of its own and switches it on,
 * which makes all that QEMU does with memory slow; qboot leaves it to the kernel.
 */
static const char *topology(void)
{
	static char arguments[80 * DEVICES];
	size_t len;

	len = snprintf(arguments, sizeof(arguments), "-icount shift=0,sleep=off\n-bios qboot.rom");
	for (unsigned int bridge = 0; bridge < BRIDGES; bridge++) {
		len += snprintf(arguments + len, sizeof(arguments) - len,
				"\n-device pcie-pci-bridge,id=pb%u,addr=%x", bridge,
				FIRST_SLOT + bridge);
		for (unsigned int i = 0; i < DEVICES / BRIDGES; i++)
			len += snprintf(arguments + len, sizeof(arguments) - len,
					"\n-device pvpanic-pci,bus=pb%u,addr=%x.%u,multifunction=on",
					bridge, 1 + i / 8, i % 8);
	}

	return arguments;
}

/* Leave some of the bridges there, and the devices behind them. */
static void remove_others(unsigned int bridges)
{
	char path[64];

	for (unsigned int bridge = bridges; bridge < BRIDGES; bridge++) {
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/0000:00:%02x.0/remove",
			 FIRST_SLOT + bridge);
		if (plu_exists(path) && plu_write_file(path, "1\n"))
			plu_bail("%s: cannot be removed", path);
	}
}

/* Do something for each name in a folder that begins, or does not, with a prefix. */
static void for_each(const char *folder, const char *prefix, bool begins,
		     void (*f)(const char *name))
{
	struct dirent entry, *e;
	DIR *dir = opendir(folder);

	while (!readdir_r(dir, &entry, &e) && e)
		if (e->d_name[0] != '.' && !strncmp(e->d_name, prefix, strlen(prefix)) == begins)
			f(e->d_name);
	closedir(dir);
}

static void bind_driver(const char *bdf)
{
	if (plu_driver_override(bdf, PLU_DRIVER))
		plu_bail("%s: the driver cannot have it", bdf);
}

static void add_device(const char *name)
{
	if (nr_devices == DEVICES)
		plu_bail("more than %u devices", DEVICES);
	snprintf(names[nr_devices++], sizeof(names[0]), "/dev/" PLU_DRIVER "-%s", name);
}

/* What is behind some of the bridges */
static void open_devices(unsigned int first, unsigned int end)
{
	char path[64];

	nr_devices = 0;
	for (unsigned int bridge = first; bridge < end; bridge++) {
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/0000:00:%02x.0",
			 FIRST_SLOT + bridge);
		for_each(path, "0000:", true, add_device);
	}
	if (nr_devices < end - first)
		plu_skip("%u devices, %u wanted", nr_devices, DEVICES);
	for (unsigned int i = 0; i < nr_devices; i++)
		fds[i] = open(names[i], O_RDWR);
}

/* Give the driver all that is not on the root bus. */
static void bind_all(void)
{
	for_each("/sys/bus/pci/devices", "0000:00:", false, bind_driver);
	/* With some for the rest of the test */
	luo_ensure_nofile_limit(DEVICES + 64);
}

/* For a while. Return the session. */
static int preserve_others(unsigned int bridges)
{
	int session = plu_session(OTHERS);

	open_devices(bridges, BRIDGES);
	for (unsigned int i = 0; i < nr_devices; i++) {
		if (luo_session_preserve_fd(session, fds[i], i))
			plu_bail("%s: cannot be preserved", names[i]);
		close(fds[i]);
	}

	return session;
}

static void preserve(struct figures *figures, unsigned int bridges)
{
	int session = plu_session(SESSION);
	unsigned int failed = 0;
	__u64 start;

	open_devices(0, bridges);
	start = stopwatch_now();
	for (unsigned int i = 0; i < nr_devices; i++)
		failed += !!luo_session_preserve_fd(session, fds[i], i);
	figures->cost[PRESERVE] = stopwatch_now() - start;
	figures->devices = nr_devices;
	plu_ok(!failed && plu_is_consistent(), "%u devices are preserved", nr_devices);
	stopwatch_load(NOTES, &notes, sizeof(notes));
}

static void retrieve(struct figures *figures)
{
	unsigned int failed = 0;
	int session;
	__u64 start;

	stopwatch_read(NOTES, &notes, sizeof(notes));
	figures->cost[FREEZE] = notes.jump.bound_to_happen - notes.jump.started;
	session = plu_retrieve_session(SESSION);
	start = stopwatch_now();
	for (unsigned int i = 0; i < figures->devices; i++) {
		fds[i] = luo_session_retrieve_fd(session, i);
		failed += fds[i] < 0;
	}
	figures->cost[RETRIEVE] = stopwatch_now() - start;
	plu_ok(!failed, "all are retrieved");

	start = stopwatch_now();
	failed = luo_session_finish(session);
	figures->cost[FINISH] = stopwatch_now() - start;
	plu_ok(!failed && plu_is_consistent(), "they are finished");

	for (unsigned int i = 0; i < figures->devices; i++)
		close(fds[i]);
	close(session);
}

/* For each device there is, all in all. */
static void kernel_a(void)
{
	bind_all();
	preserve(&notes.figures[0], BRIDGES);
}

static void kernel_b(void)
{
	int others;

	bind_all();
	retrieve(&notes.figures[0]);
	others = preserve_others(BRIDGES / 2);
	preserve(&notes.figures[1], BRIDGES / 2);
	close(others);
	remove_others(BRIDGES / 2);
	plu_ok(plu_is_consistent(), "others are not preserved any more");
}

static void kernel_c(void)
{
	remove_others(BRIDGES / 2);
	bind_all();
	retrieve(&notes.figures[1]);
	remove_others(BRIDGES / 4);
	preserve(&notes.figures[2], BRIDGES / 4);
}

static __u64 cost_of_one(const struct figures *figures, unsigned int step)
{
	return figures->cost[step] / figures->devices;
}

static void kernel_d(void)
{
	const struct figures *many = &notes.figures[0], *few = &notes.figures[JUMPS - 1];

	remove_others(BRIDGES / 4);
	bind_all();
	retrieve(&notes.figures[JUMPS - 1]);
	for (unsigned int step = 0; step < NR_STEPS; step++) {
		for (const struct figures *f = few; f >= many; f--)
			plu_say("figure scale.%s.%u %llu", steps[step], f->devices,
				(unsigned long long)cost_of_one(f, step));
		plu_ok(cost_of_one(many, step) < cost_of_one(few, step) * 2 ||
		       !stopwatch_tells(),
		       "%s: each of %u devices costs what each of %u does", steps[step],
		       many->devices, few->devices);
	}
}

/* What the kernel says takes time to be shown. */
#define CMDLINE	"loglevel=5"

static const struct plu_test test = {
	.name = "scale",
	.qemu = topology,
	.stage = {
		{ .run = kernel_a, .plan = 1, .cmdline = CMDLINE, .before_jump = stopwatch_start },
		{ .run = kernel_b, .plan = 4, .cmdline = CMDLINE, .before_jump = stopwatch_start },
		{ .run = kernel_c, .plan = 3, .cmdline = CMDLINE, .before_jump = stopwatch_start },
		{ .run = kernel_d, .plan = 2 + NR_STEPS, .cmdline = CMDLINE },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
