// SPDX-License-Identifier: GPL-2.0
/*
 * The reboot call fails while a preserved device is in use in a way that would not
 * survive, and the device works on. When all is well with it but another file calls off
 * the jump, the device can't be used in between, and works on as well: it is not reset.
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
		"-device pci-testdev,bus=rp2\n"
		"-device nvme-subsys,id=subsys\n"
		"-device pcie-root-port,id=rp3,chassis=3,addr=6\n"
		"-device nvme,bus=rp3,subsys=subsys,serial=1," PLU_NVME_VFS;
}

static const struct plu_id nvme[] = {
	{ 0x1b36, 0x0010 },
	{ }
};

#define DEVICE		(&plu.dev[0])
/* Driven by the test driver of PCI Live Update: its file can't be frozen if it is told so. */
#define FAILING		(&plu.dev[1])
#define NVME		(&plu.dev[2])
#define LOCK_MODULE	"pci_liveupdate_lock"
#define SESSION		"vfio-freeze"
#define IOVA		0x100000
/* How many seconds the kernel waits for a system call */
#define LONGEST_WAIT	10

static struct vfio_pci_device *v;
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

static unsigned int times_refused(const struct plu_device *d, const char *why)
{
	char message[160];

	snprintf(message, sizeof(message), "%s: liveupdate: cannot be handed over while %s",
		 d->bdf, why);

	return plu_times_said(message);
}

static void refuse_to_jump(const struct plu_device *d, const char *why)
{
	unsigned int said = times_refused(d, why);

	plu_gives(plu_reboot(), -EBUSY, "the kernel is not replaced while %s", why);
	plu_ok(times_refused(d, why) == said + 1, "it says so, and of which device");
	plu_check("nothing has changed");
}

static void refuse_while(const char *why, unsigned int number)
{
	refuse_to_jump(DEVICE, why);
	check_it_works(number);
}

static void set_low_power(unsigned int feature)
{
	struct vfio_device_feature set = {
		.argsz = sizeof(set),
		.flags = VFIO_DEVICE_FEATURE_SET | feature,
	};

	if (ioctl(v->fd, VFIO_DEVICE_FEATURE, &set))
		plu_bail("low power: %s", strerror(errno));
}

static void refuse_in_low_power(void)
{
	set_low_power(VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY);
	plu_gives(plu_reboot(), -EBUSY, "nor while it is in a state of low power");
	plu_ok(times_refused(DEVICE, "it is in a state of low power") == 1, "it says so");
	set_low_power(VFIO_DEVICE_FEATURE_LOW_POWER_EXIT);
	check_it_works(3);
}

/* libvfio knows message-signaled ones only. */
static void set_intx(bool on)
{
	struct {
		struct vfio_irq_set header;
		__s32 fd;
	} set = {
		.header.argsz = sizeof(set),
		.header.flags = VFIO_IRQ_SET_ACTION_TRIGGER |
				(on ? VFIO_IRQ_SET_DATA_EVENTFD : VFIO_IRQ_SET_DATA_NONE),
		.header.index = VFIO_PCI_INTX_IRQ_INDEX,
		.header.count = on,
		.fd = on ? eventfd(0, 0) : -1,
	};

	if (ioctl(v->fd, VFIO_DEVICE_SET_IRQS, &set.header))
		plu_bail("INTx: %s", strerror(errno));
}

static void set_virtual_functions(const char *number)
{
	int ret = plu_write_file(plu_sysfs(NVME, "sriov_numvfs"), number);

	if (ret)
		plu_bail("%s: no virtual functions: %s", NVME->bdf, strerror(-ret));
}

/* It can be reset, which they can't prevent. */
static void refuse_with_virtual_functions(struct iommu *iommu)
{
	int session = plu_session(SESSION "-nvme");

	vlu_bind(NVME);
	vlu_open(NVME, iommu);
	plu_preserve(session, NVME);
	set_virtual_functions("1");
	refuse_to_jump(NVME, "it has virtual functions");
	set_virtual_functions("0");
	plu_close_session(session);
}

static void set_ioeventfd(int fd)
{
	struct vfio_device_ioeventfd set = {
		.argsz = sizeof(set),
		.flags = VFIO_DEVICE_IOEVENTFD_32,
		.offset = v->bars[0].info.offset,
		.data = 1,
		.fd = fd,
	};

	if (ioctl(v->fd, VFIO_DEVICE_IOEVENTFD, &set))
		plu_bail("ioeventfd: %s", strerror(errno));
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

static pid_t start(bool (*call)(void))
{
	pid_t pid = fork();

	if (pid < 0)
		plu_bail("fork: %s", strerror(errno));
	if (!pid)
		exit(!call());

	return pid;
}

static bool has_succeeded(pid_t pid)
{
	int status;

	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && !WEXITSTATUS(status);
}

/* Not known without a look at the device */
static bool read_status(void)
{
	unsigned char byte;

	return pread(v->fd, &byte, 1, v->config_space.offset + PCI_STATUS) == 1;
}

static bool jump_in_vain(void)
{
	return plu_reboot() == -EIO;
}

/* One that takes long, until this is undone */
static pid_t begin_system_call(void)
{
	char parameters[64];
	pid_t reader;

	snprintf(parameters, sizeof(parameters), "device=%s config=1", DEVICE->bdf);
	if (plu_load_module("external/" LOCK_MODULE, parameters))
		plu_bail("the config space can't be locked");
	reader = start(read_status);
	plu_ok(plu_waits(reader), "a system call takes long");

	return reader;
}

static void end_system_call(pid_t reader)
{
	plu_unload_module(LOCK_MODULE);
	plu_ok(has_succeeded(reader), "it succeeds");
}

static void refuse_during_system_call(void)
{
	pid_t reader = begin_system_call();

	refuse_to_jump(DEVICE, "a system call on it goes on and on");
	end_system_call(reader);
	check_it_works(4);
}

static void wait_for_system_call(void)
{
	pid_t reader = begin_system_call();
	time_t before = time(NULL);
	pid_t jumper = start(jump_in_vain);

	plu_ok(plu_waits(jumper), "the kernel is not replaced before it has ended");
	end_system_call(reader);
	plu_ok(has_succeeded(jumper) && time(NULL) < before + LONGEST_WAIT,
	       "and then the jump is called off, at once");
}

static void be_called_off(int session)
{
	pid_t pid;

	plu_preserve(session, FAILING);
	if (plu_command(FAILING, "fail freeze"))
		plu_bail("the driver does not know how to fail");
	refuse_during_system_call();
	wait_for_system_call();

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
	plu_check("both are still outgoing");
	check_it_works(5);
}

static void preserve(void)
{
	int session, eventfd_fd = eventfd(0, 0);
	struct iommu *iommu;

	vlu_load_driver(false);
	plu_find_devices(3);
	vlu_bind(DEVICE);
	if (plu_load_module(PLU_DRIVER, "") || !plu_exists(plu_sysfs(FAILING, "driver")))
		plu_bail("the test driver has no device");
	FAILING->driver = PLU_DRIVER;
	iommu = iommu_init("iommufd");
	v = vlu_open(DEVICE, iommu);
	vlu_create_memory(&memory, v->iommu, 4096, IOVA);
	session = plu_session(SESSION);
	plu_preserve(session, DEVICE);

	vfio_pci_msi_enable(v, 0, 1);
	refuse_while("interrupts are enabled", 1);
	vfio_pci_msi_disable(v);
	set_intx(true);
	refuse_while("interrupts are enabled", 7);
	set_intx(false);

	set_ioeventfd(eventfd_fd);
	refuse_while("it has ioeventfds", 2);
	set_ioeventfd(-1);

	refuse_in_low_power();
	refuse_with_virtual_functions(iommu);
	be_called_off(session);

	plu_close_session(session);
	plu_check("the session can be closed instead, and nothing is outgoing");
	check_it_works(6);
}

/* Without another stage there would be no kernel to jump to. */
static void begin_anew(void)
{
	plu_find_devices(3);
	plu.handover = "foreign";
	plu_check("nothing is handed over");
}

static const struct plu_test test = {
	.name = "vfio_freeze",
	.qemu = topology,
	.also = nvme,
	.stage = {
		{ .run = preserve, .plan = 39, .cmdline = VLU_CMDLINE },
		{ .run = begin_anew, .plan = 1, .cmdline = VLU_CMDLINE },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
