/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tests of PCI Live Update: what they share.
 *
 * A test is one program with a part for each kernel that it runs in: stage 1
 * preserves PCI devices, kexec starts the next kernel, stage 2 takes them back,
 * and some tests have further stages. `TEST -n` prints how many there are.
 *
 * To run one by hand, in any booted kernel that has CONFIG_PCI_LIVEUPDATE,
 * CONFIG_PCI_LIVEUPDATE_TEST and liveupdate=on, in a QEMU with edu or pci-testdev
 * devices (`TEST -q` prints the devices, when a test needs particular ones),
 * debugfs mounted, and as root:
 *
 *	./basic -s 1
 *	kexec -s -l /boot/bzImage --initrd=/boot/initrd --reuse-cmdline \
 *	      --append="$(./basic -c 2)"
 *	./basic -j 1			# not `reboot`, which ends the processes
 *	./basic -s 2			# once the next kernel is up
 *
 * Stage 1 leaves a process behind that keeps the Live Update session open: the
 * session, and with it everything preserved, ends when that process does. `-j STAGE`
 * does what that stage wants to be done last, and jumps, as `kexec -e` does.
 * `-c STAGE` prints what that stage's kernel wants on its command line, `-k STAGE`
 * which kernel image it is, if not the same again.
 *
 * The file `init` in the folder above does the same without anybody's help, as the
 * first process of an initramfs.
 *
 * How a test works: it says what it expects of each device in a model,
 * struct plu_device, which the functions below keep up to date, and plu_check()
 * compares all that the kernel shows with it: both lists and the status in debugfs,
 * the device files, and the kernel log. What is expected of the bridges follows from
 * the devices that are below them.
 *
 * Some tests tell QEMU what to do, plu_monitor(): the guest's second serial port must
 * be connected to QEMU's own monitor, as scripts/vm.sh does it:
 *
 *	-chardev socket,id=monitor,path=SOCKET,server=on,wait=off
 *	-mon chardev=monitor,mode=control
 *	-chardev socket,id=com2,path=SOCKET -device isa-serial,chardev=com2,index=1
 */
#ifndef _SELFTESTS_PCI_LIVEUPDATE_H
#define _SELFTESTS_PCI_LIVEUPDATE_H

#include <stdbool.h>
#include <stddef.h>

#include <linux/types.h>

#include "kselftest.h"

#define PLU_DRIVER	"pci_liveupdate_test"
#define PLU_DEBUGFS	"/sys/kernel/debug/pci_liveupdate"
#define PLU_MAX_STAGES	5
#define PLU_MAX_DEVICES	256
#define PLU_MAX_BRIDGES	80
#define PLU_BDF_SIZE	sizeof("0000:00:00.0")
#define PLU_TEXT_SIZE	128

/* --- plu_main.c: stages, results ------------------------------------------ */

/*
 * For the command line of kernels with a second root bus: QEMU describes its interrupts
 * by a program, which ACPI runs for each device that is enabled, in a kernel that checks
 * all accesses to memory for minutes.
 */
#define PLU_NO_ACPI_IRQ	"acpi=noirq"

struct plu_stage {
	void (*run)(void);
	unsigned int plan;	/* how many results it gives */
	const char *cmdline;	/* what its kernel wants to be told */
	const char *kernel;	/* its image, if not the default one */
	/* Done last, by a process of its own, which then jumps. It gives no results. */
	void (*before_jump)(void);
	/* The next stage is told nothing, and no session is open at the jump. */
	bool hands_nothing_over;
};

/* A kind of device. */
struct plu_id {
	unsigned int vendor;
	unsigned int device;
};

/* In a topology: what QEMU's nvme takes to have two virtual functions */
#define PLU_NVME_VFS	"max_ioqpairs=6,msix_qsize=4," \
			"sriov_max_vfs=2,sriov_vq_flexible=4,sriov_vi_flexible=2"

struct plu_test {
	const char *name;
	const char *(*qemu)(void);	/* arguments, if it needs its own devices */
	bool foreign;			/* a kernel of it may lack the feature */
	/* Devices that are part of it beside edu and pci-testdev. The last is { }. */
	const struct plu_id *also;
	struct plu_stage stage[PLU_MAX_STAGES];
	/* If there are more, or fewer: the last of those is what all after it are, too. */
	unsigned int (*nr_stages)(void);
};

int plu_main(int argc, char *argv[], const struct plu_test *test);

/*
 * Have something done on the way to the next kernel, when that can't be called off any more
 * and what is handed over has been written. It is done by a process of its own, which knows
 * what the stage knew at its end, gives no results, and ends the test if it bails.
 */
void plu_when_written(void (*call)(void));

/* Jump into the next kernel, now. Returns only if that is refused: a negative errno. */
int plu_reboot(void);

/* One line of KTAP. */
bool __printf(2, 3) plu_ok(bool ok, const char *fmt, ...);

/* One line of KTAP: a call gave what it should, 0 or a negative errno. */
bool __printf(3, 4) plu_gives(int ret, int expected, const char *fmt, ...);

/* The test cannot go on. */
void __noreturn __printf(1, 2) plu_bail(const char *fmt, ...);

/* Something is missing here. Under the tests' own init nothing may be. */
void __noreturn __printf(1, 2) plu_skip(const char *fmt, ...);

/* The test makes no sense with this kernel. */
void __noreturn __printf(1, 2) plu_does_not_apply(const char *fmt, ...);

/* A comment in the KTAP. */
void __printf(1, 2) plu_say(const char *fmt, ...);

/* --- plu_system.c: files, processes, memory ------------------------------- */

/* All of a file, as a string. Return its length or a negative errno. */
int plu_read_file(const char *path, char *buf, size_t size);

/* One write(2). Return 0 or a negative errno. */
int plu_write_file(const char *path, const char *text);

int plu_read_fd(int fd, char *buf, size_t size);
int plu_write_fd(int fd, const char *text);

/* Value of the line `KEY<separator>VALUE` in a text. */
bool plu_value(const char *text, const char *key, char *buf, size_t size);

/* Value of a word `KEY=VALUE` on the kernel's command line. */
bool plu_cmdline(const char *key, char *buf, size_t size);

bool plu_exists(const char *path);

/* How long a text is up to a character, or the whole of it. */
size_t plu_until(const char *text, char c);

/* Wait until something is so, but not for ever: false if it is not so then. */
bool plu_wait_for(bool (*condition)(void *arg), void *arg);
/* The same of what may take longer: as many seconds. */
bool plu_wait_seconds(unsigned int seconds, bool (*condition)(void *arg), void *arg);

/*
 * Wait until a child of this process either waits in the kernel, undisturbed by signals,
 * or has ended: which of the two? It is not to have been waited for.
 */
bool plu_waits(int pid);

int plu_load_module(const char *name, const char *parameters);
int plu_unload_module(const char *name);

/* Is the page at a physical address some kernel memory of unknown use? */
bool plu_page_in_use(__u64 phys);

/* Is it free, or has it been given to someone else? */
bool plu_page_given_back(__u64 phys);

/* Write to memory and look at it, through /dev/mem. */
void plu_write_memory(__u64 phys, const void *data, size_t size);
void plu_read_memory(__u64 phys, void *data, size_t size);
bool plu_memory_is(__u64 phys, const void *data, size_t size);

/* Where a page of this process is, that does not move. */
__u64 plu_physical(const void *address);

/* Is it as the previous kernel left it, and for nobody else to use? */
bool plu_page_is_kept(__u64 phys, const void *begin, size_t size);

/*
 * Pages that the kernel uses for it does not say what: each, with those that are free for
 * one of the processors; and how many there are, without these.
 */
void plu_for_pages_of_unknown_use(void (*f)(__u64 phys, void *arg), void *arg);
long plu_pages_of_unknown_use(void);

/* --- plu_memory.c: memory that the kernel uses -------------------------------- */

/* In pages. */
struct plu_memory {
	long total;	/* What the kernel has, but for what is preserved and not restored, */
	long unknown;	/* what it uses for it does not say what, stacks aside, */
	long slab;	/* and for small objects. */
};

struct plu_memory plu_read_memory_use(void);

/* --- plu_fail.c: allocations that fail -------------------------------------- */

/*
 * Let the n-th allocation of this process fail from now on, and no other, or all that
 * come later, too. And did it? This ends it.
 */
void plu_fail_nth(unsigned int nth);
void plu_fail_from(unsigned int nth);
bool plu_did_fail(void);

/*
 * Something that takes memory. call() gives 0 or a negative errno. What follows may be
 * left out: settle() comes after each call, and brings the model up to date; undo() takes
 * back what was done; is_same() tells then whether nothing is left of it, and is
 * otherwise plu_is_as_expected().
 */
struct plu_attempt {
	const char *what;
	int (*call)(void);
	void (*settle)(int ret);
	void (*undo)(void);
	bool (*is_same)(void);
	bool cannot_fail;	/* it is done also without memory */
	int or_error;		/* what it may give beside -ENOMEM */
	unsigned int rounds;	/* over which to look for leaks */
};

/*
 * Try it with each allocation failing in turn, once alone and once with all that come
 * later. Each time it is refused with -ENOMEM, or done in another way, nothing is left
 * of it, and it can be done when there is memory. That gives two results, and a third one
 * if it is to look for leaks.
 */
#define PLU_FAIL_RESULTS	3
void plu_fail_each(const struct plu_attempt *attempt);

/* Is memory lost, a little each time that something is done? One result. */
void plu_find_leaks(const char *what, void (*once)(void), unsigned int rounds);

/* --- plu_workers.c: processes that do things at the same time ----------------- */

/* A kind of call, and with what it may be refused while others do what they do. */
struct plu_call {
	const char *what;
	int errors[8];		/* positive; the last is 0 */
};

/* What a worker does, one step after the other, and, if anything, before it rests. */
struct plu_job {
	const char *name;
	void (*step)(void);
	void (*last)(void);
};

/* To be called first: the table, by whose indices all calls go. */
void plu_set_calls(const struct plu_call *table, unsigned int nr);

/*
 * Have a worker do each job for some milliseconds, all at the same time. Then, while they
 * rest but have all files and sessions that they made, check() is called, whose answer is
 * returned when they have ended. They know what their parent knew, and have its files.
 */
bool plu_work(const struct plu_job *jobs, unsigned int nr_jobs, long time, __u64 seed,
	      bool (*check)(void));

/* In a worker: it is about to do this, for who asks why it hangs; and what came of it. */
void plu_about_to(unsigned int call);
int plu_call(unsigned int call, int ret);

/* Show what came of all calls, and return how many kinds were refused as they must not be. */
unsigned int plu_show_calls(void);
unsigned int plu_times_done(unsigned int call);

/* --- The model: the devices, and what is expected of them ------------------ */

enum plu_incoming {
	PLU_ORDINARY,
	PLU_INCOMING,
	PLU_FINISHED,
};

/* What the kernel says of a device. */
enum plu_message {
	PLU_MSG_OUTGOING,
	PLU_MSG_NOT_OUTGOING,
	PLU_MSG_PRESERVED,
	PLU_MSG_FINISHED,
	PLU_MSG_REMOVED_OUTGOING,
	PLU_MSG_REMOVED_INCOMING,
	PLU_MSG_CANNOT_UNPRESERVE,
	PLU_MSG_CANNOT_FINISH,
	PLU_MSG_LEFT_PRESERVED,
	PLU_NR_MESSAGES
};

/* What a device, and how it gets to memory, is known by in hardware. */
struct plu_routing {
	/* A bridge's, as in its register: primary | secondary << 8 | subordinate << 16 */
	__u32 numbers;
	__u32 acs;		/* its controls, or 0 */
	bool ari;		/* is ARI forwarding on? */
	bool bus_master;
};

/* A bridge is one, too. */
struct plu_device {
	char bdf[PLU_BDF_SIZE];
	/* The way to it, which has no bus numbers: they may be others next time. */
	char path[64];
	unsigned int vendor;
	unsigned int device;
	__u64 token;		/* in a Live Update session */
	int fd;			/* its device file, or -1 */
	int outgoing_session;	/* that it is preserved in, or -1 */
	int incoming_session;	/* that it was retrieved from, or -1 */
	bool is_bridge;
	unsigned int said[PLU_NR_MESSAGES];	/* how often the kernel said each */

	/* What is expected. */
	bool absent;		/* removed, or pulled out */
	const char *driver;	/* PLU_DRIVER, another, or NULL */
	unsigned int messages[PLU_NR_MESSAGES];	/* how often each was said */
	bool stopped;		/* removed while it was incoming, and found again */
	bool retrieved;		/* by a file that its driver knows of, */
	bool taken_over;	/* which is in use */

	/* Of a device: those of a bridge are worked out. */
	bool outgoing;
	bool left_out;		/* removed since it was preserved: not handed over */
	enum plu_incoming incoming;
	__u64 cookie;
	/* Where the incoming record lies: how much it counts that is not there. */
	int surplus;
	bool unrecorded;	/* or there is none, though something is incoming */

	/* What the previous stage knew of it. The cookie comes back on retrieve. */
	bool has_file;		/* that is handed over, as the device may not be */
	char handed_bdf[PLU_BDF_SIZE];
	__u64 handed_cookie;
	/* Where bus numbers may differ, `numbers` is to be made 0. */
	struct plu_routing handed;
};

struct plu_model {
	struct plu_device dev[PLU_MAX_DEVICES];
	unsigned int nr_devices;
	struct plu_device bridge[PLU_MAX_BRIDGES];
	unsigned int nr_bridges;
	const char *handover;		/* in debugfs status */
	bool keep_buses;		/* as well */
	unsigned int nr_outgoing_files;	/* in sessions, preserved */
	unsigned int nr_incoming_files;	/* in sessions, not finished */
	unsigned int stage;		/* which one this is */
	__u64 note;			/* a number for the next stage */
	char text[PLU_TEXT_SIZE];	/* and a line */
	const struct plu_id *also;	/* of the test */
};

extern struct plu_model plu;

/* All devices: for (d = plu.dev; d < plu_end(); d++) */
static inline struct plu_device *plu_end(void)
{
	return plu.dev + plu.nr_devices;
}

/* All bridges: for (b = plu.bridge; b < plu_bridges_end(); b++) */
static inline struct plu_device *plu_bridges_end(void)
{
	return plu.bridge + plu.nr_bridges;
}

/* --- plu_model.c: what follows from what happens --------------------------- */

/* The device or bridge at an address, or NULL. */
struct plu_device *plu_find(const char *bdf);

/* The one at the end of a path, which there has to be. */
struct plu_device *plu_at(const char *path);

/* How many bridges are above? Which one is it: 0 is the next one up. NULL if none. */
unsigned int plu_level(const struct plu_device *d);
struct plu_device *plu_upstream(const struct plu_device *d, unsigned int level);
/* Its address, valid as long as the model is. */
const char *plu_bridge_above(const struct plu_device *d, unsigned int level);
/* Is there a bridge above it? */
bool plu_is_behind_bridge(const struct plu_device *d);
bool plu_is_below(const struct plu_device *d, const struct plu_device *bridge);

/* How many devices at or below are outgoing, will be handed over, or are in this state? */
unsigned int plu_count_outgoing(const struct plu_device *d);
unsigned int plu_count_handed_over(const struct plu_device *d);
unsigned int plu_count_incoming(const struct plu_device *d, enum plu_incoming state);

/* What its incoming record counts. 0: it is finished, or there is none. */
unsigned int plu_incoming_refcount(const struct plu_device *d);
bool plu_is_recorded_as_finished(const struct plu_device *d);

/* Its driver has preserved, or unpreserved, or finished it. */
void plu_set_outgoing(struct plu_device *d, bool outgoing);
/* A jump was called off when it was settled what is handed over: what is not, is forgotten. */
void plu_set_left_out(void);
void plu_set_finished(struct plu_device *d);

/* In this kernel, all that is incoming by now was found to be, once. */
void plu_expect_found(void);

/* It was removed, or found again, and all below it. */
void plu_set_absent(struct plu_device *d);
void plu_set_present(struct plu_device *d);

/* --- plu_log.c: what the kernel says --------------------------------------- */

extern const char * const plu_messages[PLU_NR_MESSAGES];

/*
 * Count what the kernel has said of each device since it was started. The log has
 * room for so much only: who makes the kernel talk a lot calls this now and then.
 */
void plu_read_log(void);
/* Begin anew, with devices of which nothing is known. */
void plu_rewind_log(void);
/* Count from now on, as more was said than the log has room for. */
void plu_skip_log(void);
unsigned int plu_said(const struct plu_device *d, enum plu_message msg);

/* Has it said nothing of any device and live update? */
bool plu_log_is_silent(void);

/* How often has it said something? And of a device and live update? And exactly once? */
unsigned int plu_times_said(const char *what);
unsigned int __printf(2, 3) plu_times_said_of(const struct plu_device *d, const char *fmt, ...);
bool plu_says_once(const char *what);

/* The kernel is about to warn: update the model, and tell who reads the log. */
void plu_expect_warning(struct plu_device *d, enum plu_message msg);

/* The same, of something that is not in the model, and may come in the next kernel. */
void __printf(1, 2) plu_announce(const char *fmt, ...);

/* The same, of one that comes or does not, as other things fall. */
void plu_announce_possible(const char *what);

/* Nobody in the guest can see something, but QEMU says this of it, on its standard error. */
void plu_announce_of_qemu(const char *what);

/* The next kernel is to stop, and this is part of what it says then. */
void plu_announce_panic(const char *what);

/* The same of this one, which another kernel is loaded for, where the test goes on. */
void plu_announce_crash(const char *what);

/* --- plu_device.c: devices ------------------------------------------------- */

/*
 * Find the devices, in the order of their addresses. To be called first in a
 * stage, by those that do not call plu_take_over().
 */
void plu_find_devices(unsigned int at_least);

/* The path of a device's file, or of one in its sysfs folder. Static memory. */
const char *plu_node(const struct plu_device *d);
const char *plu_sysfs(const struct plu_device *d, const char *file);

/* Open another file of a device. Return it or a negative errno. */
int plu_open(const struct plu_device *d);

/* Write a command to the file of a device. Return 0 or a negative errno. */
int __printf(2, 3) plu_command(struct plu_device *d, const char *fmt, ...);

void plu_set_cookie(struct plu_device *d, __u64 cookie);

/* What userspace writes to choose a driver, and bind it. NULL: none, and any may be. */
int plu_driver_override(const char *bdf, const char *driver);

/*
 * Through sysfs. Those that return something return 0 or a negative errno, and keep
 * the model up to date.
 */
int plu_unbind(struct plu_device *d);
int plu_bind(struct plu_device *d, const char *driver);
int plu_remove(struct plu_device *d);
/* The bridge above a device, and with it all that is behind. */
int plu_remove_bridge(struct plu_device *d);
/* Look for devices. Those that were removed are expected to be found, or not. */
void plu_rescan(void);
void plu_rescan_in_vain(void);

/* --- plu_config.c: config space -------------------------------------------- */

/* Of 1, 2 or 4 bytes. These end the test when they fail. */
__u32 plu_config_read(const char *bdf, unsigned int offset, unsigned int size);
void plu_config_write(const char *bdf, unsigned int offset, unsigned int size, __u32 value);

/* Where a capability is, or 0. */
unsigned int plu_capability(const char *bdf, unsigned int id);
unsigned int plu_ext_capability(const char *bdf, unsigned int id);

bool plu_is_bus_master(const char *bdf);
void plu_set_bus_master(const char *bdf, bool on);

bool plu_is_bridge(const char *bdf);
__u32 plu_bus_numbers(const char *bdf);

struct plu_routing plu_read_routing(const char *bdf);

/* --- plu_monitor.c: QEMU's monitor ------------------------------------------ */

/* Have QEMU execute a command, wait until it has, and return its answer: "" if none. */
const char *plu_monitor(const char *fmt, ...) __printf(1, 2);

/* --- plu_hotplug.c: plugging in and out -------------------------------------- */

/*
 * Empty the slot below a port: with its switch in sysfs, at once; with the button beside
 * it, 5 seconds later, given what QEMU calls the device; or by just pulling.
 */
void plu_switch_off(struct plu_device *port);
void plu_press_button(const char *id);
void plu_pull_out(struct plu_device *port);
/* The same, and the kernel is not told: to be done last. Only the address is looked at. */
void plu_pull_out_unnoticed(const struct plu_device *port);

/* Until the kernel is done with that, and the model up to date. False: it never is. */
bool plu_wait_until_empty(struct plu_device *port);

/* Plug in a device that the driver drives: "edu,bus=ID". */
bool plu_plug_in(struct plu_device *d, const char *what);

/* --- plu_random.c: chance ---------------------------------------------------- */

/* From the kernel's command line, plu.seed=, or any other. */
__u64 plu_seed(void);
void plu_seed_random(__u64 seed);
/* From 0 on, and below a number; 0: below 2^64. */
__u64 plu_random(__u64 below);

/* The stages of a test with as many jumps as plu.jumps= says, or else a few. */
unsigned int plu_nr_jumps(void);

/* --- plu_check.c: what the kernel shows, compared with the model ----------- */

/* Compare everything: one result. */
bool __printf(1, 2) plu_check(const char *fmt, ...);

/* The same, as part of another result. */
bool plu_is_as_expected(void);

/*
 * Does the kernel find its lists, counts and devices to agree? plu_check() asks, too.
 * To be asked when nothing changes any of that.
 */
bool plu_is_consistent(void);

/* Does an open file stand for this device, working, with this cookie? */
bool plu_file_is(int fd, const struct plu_device *d, __u64 cookie);

/* Does the kernel list a device as incoming and not finished? */
bool plu_is_incoming(const struct plu_device *d);

/* Wait until the hand-over has the expected state, but not for ever. */
bool plu_wait_for_handover(void);

/* One value of debugfs status, "" when it is not there. */
const char *plu_status(const char *key);
__u64 plu_status_address(const char *key);

/* A process that reads debugfs all the time, until it is told to stop. */
int plu_start_reader(void);
bool plu_stop_reader(int pid);

/* --- plu_session.c: Live Update sessions ---------------------------------- */

/* These end the test when they fail, and keep the model up to date. */
int plu_session(const char *name);
void plu_preserve(int session, struct plu_device *d);
int plu_retrieve_session(const char *name);
void plu_retrieve(int session, struct plu_device *d);
void plu_finish(int session);
void plu_close_session(int session);

/* The kernel has finished a session that was closed before: what was retrieved from it. */
void plu_set_session_finished(int session);

/*
 * Can it be preserved, for a moment, or is it refused for this reason, which the kernel
 * gives? Say so if not.
 */
bool plu_is_accepted(struct plu_device *d);
bool __printf(2, 3) plu_is_refused(struct plu_device *d, const char *fmt, ...);

/*
 * Bring the model up to date after plu_try_preserve() without memory: what was done may
 * have been taken back where there was none for what comes after it.
 */
void plu_settle_preserve(int session, struct plu_device *d, int ret);

/* These do not: 0 or a file, or a negative errno. */
int plu_try_preserve(int session, int fd, __u64 token);
int plu_retrieve_fd(int session, __u64 token);
int plu_try_retrieve_session(const char *name);

/*
 * Tell the next stage what it is going to find. To be called last in a stage,
 * which the session that it makes, and the others, outlive.
 */
void plu_hand_over(void);

/*
 * Find the devices and know of each what the previous stage did with it. To be
 * called first in a stage. All have to be there; or those that are not are absent.
 */
void plu_take_over(void);
void plu_take_over_some(void);

/* Let the model have one more device or bridge, which this kernel does not have. */
struct plu_device *plu_add_absent(const char *path, const char *bdf, bool is_bridge);

/* --- plu_damage.c: what is handed over, and hand-overs that lie ------------- */

/* As in include/linux/kho/abi/pci.h and block.h */
struct plu_header {
	__u32 version;
	__u32 nr_devices;
	__u64 devices;
};

struct plu_record {
	__u32 domain;
	__u16 bdf;
	__u16 refcount;
};

#define PLU_PER_BLOCK	510

struct plu_block {
	__u64 next;
	__u64 count;
	struct plu_record record[PLU_PER_BLOCK];
};

#define PLU_MAX_BLOCKS	2

/* What is handed over, and where. */
struct plu_handover {
	__u64 header_at;
	struct plu_header header;
	unsigned int nr_blocks;
	__u64 block_at[PLU_MAX_BLOCKS];
	struct plu_block block[PLU_MAX_BLOCKS];
};

/*
 * For plu_when_written(): what is handed over is exactly what follows from the model, with
 * nothing between, and no block without a record. It bails if not.
 */
void plu_check_written(void);

/* A record that is not there, in the last block. */
void plu_add_record(struct plu_handover *h, const struct plu_device *d);

/* Add a block, once, and move half of the records of the first to it. */
void plu_split_block(struct plu_handover *h);

/* The record of a device or bridge, which has to have one. And let it be another's. */
struct plu_record *plu_record_of(struct plu_handover *h, const struct plu_device *d);
void plu_set_address(struct plu_record *record, const char *bdf);
/* What must not be in a domain with more than 4 digits. */
void plu_get_address(const struct plu_record *record, char bdf[PLU_BDF_SIZE]);

/* What the next kernel is to say when it finds that it cannot read it. */
void __printf(1, 2) plu_expect_unreadable(const char *fmt, ...);
#define PLU_ANY_REASON	"?"

/* One that damages the hand-over. */
struct plu_lie {
	const char *name;
	/* Done to the hand-over when it has been written. */
	void (*tell)(struct plu_handover *h);
	/* In the next kernel, if it can read it: what the model has not from the state. */
	void (*believe)(void);
	/* Done to devices before the jump: those that are gone are not handed over. */
	void (*prepare)(void);
};

/*
 * A test of such lies, the last of which is { }: each stage looks for what the lie of the
 * previous one does, and tells the next, with all devices preserved but the one at a
 * path, if any.
 */
struct plu_lies {
	const char *name;
	const char *(*qemu)(void);
	const char *left_alone;
	const struct plu_lie *lie;
};

int plu_lies_main(int argc, char *argv[], const struct plu_lies *lies);

/* How many results the first stage gives, and each other. */
#define PLU_LIE_FIRST	1
#define PLU_LIE_NEXT	6

/* The two halves of such a stage, for tests that go another way. */
void plu_preserve_and_lie(const struct plu_lie *lie, const char *left_alone);
void plu_find_lie(const struct plu_lie *lie);
/* After the first of them: what was handed over, with the lie in it. */
struct plu_handover *plu_told(void);

/* Or only the end of the first, when something is preserved: tell it, on the way. */
void plu_tell(const struct plu_lie *lie);

/* Its kernels are told to set up otherwise what is not to be changed. */
#define PLU_LIE_CMDLINE	"pci=assign-busses,hpbussize=8,config_acs=0000000@pci:0:0"

#endif
