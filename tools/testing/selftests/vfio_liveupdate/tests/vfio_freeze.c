// SPDX-License-Identifier: GPL-2.0
/*
 * When the reboot call has frozen a preserved device and then fails, as the file of
 * another device calls off the jump, the device could not be used in between, and works
 * on as it was: it is not reset, raises its interrupts, sleeps if it slept, and what
 * ioeventfds were to write meanwhile is written. Only a system call that does not end
 * keeps a device from being frozen. The kernel says who makes it, and does not wait
 * longer if there are several.
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/io.h>

#include "vlu.h"

static const char *topology(void)
{
	return "-device intel-iommu\n"
		"-device pcie-root-port,id=rp1,chassis=1,addr=4\n"
		"-device edu,bus=rp1\n"
		"-device pcie-root-port,id=rp2,chassis=2,addr=5\n"
		"-device e1000e,bus=rp2,romfile=\n"
		"-device pcie-root-port,id=rp3,chassis=3,addr=6\n"
		"-device edu,bus=rp3\n"
		"-device pcie-root-port,id=rp4,chassis=4,addr=7\n"
		"-device pci-testdev,bus=rp4";
}

static const struct plu_id e1000e[] = {
	{ 0x8086, 0x10d3 },
	{ }
};

/* They are frozen in this order. */
#define DEVICE		(&plu.dev[0])
#define CARD		(&plu.dev[1])
/* System calls on this one take long, if it is locked. */
#define SLOW		(&plu.dev[2])
/* Driven by the test driver of PCI Live Update: its file can't be frozen, as it is told. */
#define FAILING		(&plu.dev[3])
#define LOCK		"pci_liveupdate_lock"
#define LOCK_ANOTHER	"vfio_lock_another"
#define SESSION		"vfio-freeze"
#define IOVA		0x100000
/* How many seconds the kernel waits for system calls, and most of them */
#define LONGEST_WAIT	10
#define LONG_WAIT	7

/* Registers of the network card, and how it interrupts by its first vector */
#define CARD_CAUSES	0xc0
#define CARD_RAISE	0xc8
#define CARD_ENABLE	0xd0
#define CARD_VECTORS	0xe4
#define CARD_OTHER	0x1000000
#define CARD_OTHER_IS_0	0x80000
/* One of its I/O ports, that gives back what was written; and which BAR that is in */
#define CARD_PORTS	2
#define CARD_ADDRESS	0

static struct vfio_pci_device *v, *card, *slow;
static struct vlu_memory memory;

static void check_it_works(unsigned int number)
{
	vlu_fill(memory.region.vaddr, number);
	if (!vlu_edu_load(v, IOVA))
		plu_bail("no DMA");
	memset(memory.region.vaddr, 0, 4096);
	plu_ok(vlu_edu_store(v, IOVA) && vlu_is_filled(memory.region.vaddr, number),
	       "the device works on");
}

/* --- System calls that take long ---------------------------------------------- */

static pid_t start(bool (*call)(int file), int file)
{
	pid_t pid = fork();

	if (pid < 0)
		plu_bail("fork: %s", strerror(errno));
	if (!pid)
		exit(!call(file));

	return pid;
}

static bool has_succeeded(pid_t pid)
{
	int status;

	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && !WEXITSTATUS(status);
}

/* Not known without a look at the device */
static bool read_status(int file)
{
	unsigned char byte;

	return pread(file, &byte, 1, v->config_space.offset + PCI_STATUS) == 1;
}

/* Until this is undone */
static pid_t begin_system_call(struct plu_device *d, const char *lock)
{
	char module[64], parameters[64];
	pid_t reader;

	snprintf(module, sizeof(module), "external/%s", lock);
	snprintf(parameters, sizeof(parameters), "device=%s config=1", d->bdf);
	if (plu_load_module(module, parameters))
		plu_bail("the config space can't be locked");
	reader = start(read_status, d->fd);
	plu_ok(plu_waits(reader), "a system call takes long");

	return reader;
}

static void end_system_call(pid_t reader, const char *lock)
{
	plu_unload_module(lock);
	plu_ok(has_succeeded(reader), "it succeeds");
}

static bool jump_in_vain(int file)
{
	return plu_reboot() == -EIO;
}

static bool is_frozen(void *file)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };

	return ioctl(*(int *)file, VFIO_DEVICE_GET_INFO, &info) && errno == EBUSY;
}

/* Have all devices frozen but the slow one. */
static pid_t begin_jump(void)
{
	pid_t jumper = start(jump_in_vain, -1);

	plu_ok(plu_wait_for(is_frozen, &card->fd) && plu_wait_for(is_frozen, &slow->fd) &&
	       plu_waits(jumper), "the kernel is not replaced before it has ended");

	return jumper;
}

static unsigned int times_named(pid_t pid)
{
	char message[160];

	snprintf(message, sizeof(message),
		 "%s: liveupdate: cannot be handed over: a system call of vfio_freeze[%d] on it does not end",
		 SLOW->bdf, pid);

	return plu_times_said(message);
}

static void refuse_during_system_call(void)
{
	pid_t reader = begin_system_call(SLOW, LOCK);

	plu_gives(plu_reboot(), -EBUSY, "the kernel is not replaced while it goes on and on");
	plu_ok(times_named(reader) == 1, "it says on which device, and who does that");
	plu_check("nothing has changed");
	end_system_call(reader, LOCK);
	check_it_works(4);
}

static void wait_for_system_call(void)
{
	pid_t reader = begin_system_call(SLOW, LOCK);
	time_t before = time(NULL);
	pid_t jumper = begin_jump();

	end_system_call(reader, LOCK);
	plu_ok(has_succeeded(jumper) && time(NULL) < before + LONGEST_WAIT,
	       "and then the jump is called off, at once");
}

static bool is_time(void *time_t_is)
{
	return time(NULL) >= *(time_t *)time_t_is;
}

static bool jump_refused(int file)
{
	return plu_reboot() == -EBUSY;
}

static void wait_for_two(void)
{
	pid_t first = begin_system_call(DEVICE, LOCK_ANOTHER), second, jumper;
	time_t before = time(NULL), late = before + LONG_WAIT;

	second = begin_system_call(SLOW, LOCK);
	jumper = start(jump_refused, -1);
	plu_ok(plu_wait_for(is_time, &late) && plu_waits(jumper),
	       "the kernel is not replaced for some seconds");
	end_system_call(first, LOCK_ANOTHER);
	plu_ok(has_succeeded(jumper) && time(NULL) < before + LONGEST_WAIT + LONG_WAIT / 2,
	       "the second one is not waited for as long again");
	plu_ok(times_named(second) == 1, "it is said who makes that");
	end_system_call(second, LOCK);
}

/* --- What a user leaves behind ------------------------------------------------- */

static bool card_interrupts(void)
{
	writel(CARD_OTHER_IS_0, card->bars[0].vaddr + CARD_VECTORS);
	writel(~0U, card->bars[0].vaddr + CARD_CAUSES);
	writel(CARD_OTHER, card->bars[0].vaddr + CARD_ENABLE);
	writel(CARD_OTHER, card->bars[0].vaddr + CARD_RAISE);

	return vlu_was_signalled(card->msi_eventfds[0]);
}

static void keep_interrupts(void)
{
	int intx = eventfd(0, 0);

	vfio_pci_msi_enable(v, 0, 1);
	plu_ok(vlu_edu_interrupts(v, v->msi_eventfds[0], false), "a device has MSI");
	plu_ok(jump_in_vain(-1), "a jump is called off");
	plu_ok(vlu_edu_interrupts(v, v->msi_eventfds[0], false), "it still has");
	vfio_pci_msi_disable(v);

	vlu_set_intx(v, intx);
	plu_ok(vlu_edu_interrupts(v, intx, true), "it has INTx");
	plu_ok(jump_in_vain(-1), "a jump is called off");
	plu_ok(vlu_edu_interrupts(v, intx, true), "it still has");
	vlu_set_intx(v, -1);

	vfio_pci_msix_enable(card, 0, 1);
	plu_ok(card_interrupts(), "another has MSI-X");
	plu_ok(jump_in_vain(-1), "a jump is called off");
	plu_ok(card_interrupts(), "it still has");
}

/* Of a device that its user can't look at now */
static __u32 read_resource(const struct plu_device *d, unsigned int bar, unsigned int offset)
{
	char name[16];
	__u32 value;
	int fd;

	snprintf(name, sizeof(name), "resource%u", bar);
	fd = open(plu_sysfs(d, name), O_RDWR);
	if (bar == CARD_PORTS) {
		if (pread(fd, &value, sizeof(value), offset) != sizeof(value))
			plu_bail("%s: cannot read its ports: %s", d->bdf, strerror(errno));
	} else {
		void *registers = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

		if (registers == MAP_FAILED)
			plu_bail("%s: cannot map its registers: %s", d->bdf, strerror(errno));
		value = readl(registers + offset);
		munmap(registers, 4096);
	}
	close(fd);

	return value;
}

/* The value in a register, the complement of that in the other */
static bool are_written(__u32 value, __u32 port)
{
	return read_resource(DEVICE, 0, EDU_LIVENESS) == ~value &&
	       read_resource(CARD, CARD_PORTS, CARD_ADDRESS) == port;
}

static void write_them(__u32 value, __u32 port)
{
	off_t offset = card->bars[CARD_PORTS].info.offset + CARD_ADDRESS;

	vlu_edu_is_alive(v, value);
	if (pwrite(card->fd, &port, sizeof(port), offset) != sizeof(port))
		plu_bail("%s: cannot write to its ports: %s", CARD->bdf, strerror(errno));
}

static void hold_ioeventfds_back(void)
{
	int value = eventfd(0, 0), port = eventfd(0, 0);
	pid_t reader, jumper;

	vfio_pci_cmd_set(card, PCI_COMMAND_IO);
	vlu_set_ioeventfd(v, 0, EDU_LIVENESS, 0x11, value);
	vlu_set_ioeventfd(card, CARD_PORTS, CARD_ADDRESS, 0x20, port);
	write_them(0x33, 0x40);
	plu_ok(are_written(0x33, 0x40), "there are registers that can be written to");

	reader = begin_system_call(SLOW, LOCK);
	jumper = begin_jump();
	vlu_signal(value);
	vlu_signal(port);
	plu_ok(are_written(0x33, 0x40), "ioeventfds do not write to them meanwhile");
	end_system_call(reader, LOCK);
	plu_ok(has_succeeded(jumper) && are_written(0x11, 0x20),
	       "they do when the jump is called off");

	write_them(0x33, 0x40);
	plu_ok(jump_in_vain(-1) && are_written(0x33, 0x40), "but not once more the next time");
	vlu_signal(value);
	vlu_signal(port);
	plu_ok(are_written(0x11, 0x20), "and they work on");
	vlu_set_ioeventfd(v, 0, EDU_LIVENESS, 0x11, -1);
	vlu_set_ioeventfd(card, CARD_PORTS, CARD_ADDRESS, 0x20, -1);
}

static void let_sleep(void)
{
	vlu_set_low_power(card, true);
	plu_ok(plu_wait_for(vlu_is_asleep, CARD), "VFIO can put a device to sleep");
	plu_ok(jump_in_vain(-1), "a jump is called off");
	plu_ok(vlu_is_asleep(CARD), "it still sleeps");
	vlu_set_low_power(card, false);
	plu_ok(vlu_is_awake(CARD) && card_interrupts(), "it can be woken, and works on");

	vlu_set_asleep(card, CARD, true);
	plu_ok(vlu_is_asleep(CARD), "its user can put it to sleep");
	plu_ok(jump_in_vain(-1), "a jump is called off");
	plu_ok(vlu_is_asleep(CARD), "it still sleeps");
	vlu_set_asleep(card, CARD, false);
	plu_ok(vlu_is_awake(CARD) && card_interrupts(), "it can be woken, and works on");
	plu_check("nothing has changed");
}

/* --- What another process sees meanwhile ------------------------------------- */

/* Shared with it */
static struct seen {
	unsigned int ioctl;
	unsigned int read;
	unsigned int write;
	unsigned int mmap;
	unsigned int fault;
	unsigned int other_error;
} *seen;

static sigjmp_buf after_fault;

static void on_fault(int signal)
{
	siglongjmp(after_fault, signal);
}

static void count(unsigned int *refused, bool failed)
{
	if (failed)
		__atomic_fetch_add(errno == EBUSY ? refused : &seen->other_error, 1,
				   __ATOMIC_RELAXED);
}

static void try_everything(void)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	off_t line = v->config_space.offset + PCI_INTERRUPT_LINE;
	unsigned char byte;
	void *map;

	count(&seen->ioctl, ioctl(v->fd, VFIO_DEVICE_GET_INFO, &info));
	count(&seen->read, pread(v->fd, &byte, 1, line) != 1);
	count(&seen->write, pwrite(v->fd, &byte, 1, line) != 1);
	map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, v->fd, v->bars[0].info.offset);
	count(&seen->mmap, map == MAP_FAILED);
	if (map != MAP_FAILED)
		munmap(map, 4096);
	if (!sigsetjmp(after_fault, 1))
		readl(v->bars[0].vaddr);
	else
		__atomic_fetch_add(&seen->fault, 1, __ATOMIC_RELAXED);
}

static pid_t begin_trying(void)
{
	pid_t pid;

	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		    -1, 0);
	pid = fork();
	if (pid < 0 || seen == MAP_FAILED)
		plu_bail("cannot try in another process: %s", strerror(errno));
	if (pid)
		return pid;

	signal(SIGBUS, on_fault);
	for (;;)
		try_everything();
}

static bool call_off(void *refused)
{
	if (plu_reboot() != -EIO)
		plu_bail("the jump is not called off");

	return __atomic_load_n((unsigned int *)refused, __ATOMIC_RELAXED);
}

static void be_used_meanwhile(void)
{
	pid_t pid;

	vlu_edu_is_alive(v, 0x11223344);
	pid = begin_trying();
	plu_ok(plu_wait_for(call_off, &seen->ioctl), "before it is called off, ioctl() fails");
	plu_ok(plu_wait_for(call_off, &seen->read), "and read()");
	plu_ok(plu_wait_for(call_off, &seen->write), "and write()");
	plu_ok(plu_wait_for(call_off, &seen->mmap), "and mmap()");
	plu_ok(plu_wait_for(call_off, &seen->fault), "and what is mapped is not there");
	plu_ok(!seen->other_error, "all with the same error");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	plu_ok(vlu_edu_was_alive(v, 0x11223344), "the device was not reset");
	plu_check("all are still outgoing");
	check_it_works(5);
}

static struct vfio_pci_device *preserve(int session, struct plu_device *d, struct iommu *iommu)
{
	struct vfio_pci_device *device;

	vlu_bind(d);
	device = vlu_open(d, iommu);
	plu_preserve(session, d);

	return device;
}

static void kernel_a(void)
{
	struct iommu *iommu;
	int session;

	vlu_load_driver(false);
	plu_find_devices(4);
	iommu = iommu_init("iommufd");
	session = plu_session(SESSION);
	v = preserve(session, DEVICE, iommu);
	vfio_pci_cmd_set(v, PCI_COMMAND_MASTER);
	vlu_create_memory(&memory, v->iommu, 4096, IOVA);
	card = preserve(session, CARD, iommu);
	vfio_pci_cmd_set(card, PCI_COMMAND_MASTER);
	slow = preserve(session, SLOW, iommu);
	if (plu_load_module(PLU_DRIVER, "") || !plu_exists(plu_sysfs(FAILING, "driver")))
		plu_bail("the test driver has no device");
	FAILING->driver = PLU_DRIVER;
	plu_preserve(session, FAILING);
	if (plu_command(FAILING, "fail freeze"))
		plu_bail("the driver does not know how to fail");

	keep_interrupts();
	hold_ioeventfds_back();
	let_sleep();
	refuse_during_system_call();
	wait_for_system_call();
	wait_for_two();
	be_used_meanwhile();

	plu_close_session(session);
	plu_check("the session can be closed instead, and nothing is outgoing");
	check_it_works(6);
}

/* Without another stage there would be no kernel to jump to. */
static void begin_anew(void)
{
	plu_find_devices(4);
	plu.handover = "foreign";
	plu_check("nothing is handed over");
}

static const struct plu_test test = {
	.name = "vfio_freeze",
	.qemu = topology,
	.also = e1000e,
	.stage = {
		{ .run = kernel_a, .plan = 54, .cmdline = VLU_CMDLINE },
		{ .run = begin_anew, .plan = 1, .cmdline = VLU_CMDLINE },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
