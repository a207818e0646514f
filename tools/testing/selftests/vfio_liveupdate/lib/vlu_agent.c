// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of live update with vfio-pci: an agent, who takes devices and memory over from the
 * old kernel, call by call; and other processes that may hang, so that a test does not.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/iommufd.h>
#include <linux/vfio.h>

#include <libliveupdate.h>

#include "vlu.h"

#define MEMORY_SIZE	(VLU_VM_PAGES * 4096UL)
#define IOVA		0x100000

/* --- Processes that end in time, or not ------------------------------------------ */

struct child {
	int pid;
	int status;
};

static bool has_ended(void *arg)
{
	struct child *child = arg;

	return waitpid(child->pid, &child->status, WNOHANG) == child->pid;
}

static bool ends(const char *what, struct child *child)
{
	static char stack[4096];
	char path[32];

	if (plu_wait_for(has_ended, child))
		return true;

	plu_say("%s does not end", what);
	snprintf(path, sizeof(path), "/proc/%d/stack", child->pid);
	if (plu_read_file(path, stack, sizeof(stack)) > 0)
		plu_say("%s", stack);
	kill(child->pid, SIGKILL);

	return false;
}

/* What it says is in the kernel's log: who reads ours is not to wait for it. */
static int start_child(void)
{
	int pid, log;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		plu_bail("fork: %s", strerror(errno));
	if (!pid) {
		log = open("/dev/kmsg", O_WRONLY);
		dup2(log, STDOUT_FILENO);
		dup2(log, STDERR_FILENO);
		close(log);
	}

	return pid;
}

int vlu_begin(bool (*something)(void *arg), void *arg)
{
	int pid = start_child();
	bool did;

	if (pid)
		return pid;
	did = something(arg);
	fflush(stdout);
	_exit(did ? EXIT_SUCCESS : EXIT_FAILURE);
}

bool vlu_ends(const char *what, int pid)
{
	struct child child = { .pid = pid };

	if (!ends(what, &child))
		return false;
	if (child.status)
		plu_say("%s fails", what);

	return !child.status;
}

bool vlu_does(const char *what, bool (*something)(void *arg), void *arg)
{
	return vlu_ends(what, vlu_begin(something, arg));
}

/* --- In the agent ------------------------------------------------------------------ */

enum what {
	OPEN_LUO, GET_SESSION, GET_FILE, GET_MEMORY, OPEN_FILE, OPEN_IOMMU, BIND, ALLOC, ATTACH,
	MAP, SET_MSI, PRESERVE, FINISH, CLOSE_SESSION,
};

static const struct {
	const char *name;
	bool of_device;		/* once for each */
} calls[] = {
	[OPEN_LUO]	= { "opening " LUO_DEVICE },
	[GET_SESSION]	= { "retrieving the session" },
	[GET_FILE]	= { "retrieving a device", true },
	[GET_MEMORY]	= { "retrieving memory" },
	[OPEN_FILE]	= { "opening a device", true },
	[OPEN_IOMMU]	= { "opening /dev/iommu" },
	[BIND]		= { "binding a device", true },
	[ALLOC]		= { "making an address space" },
	[ATTACH]	= { "attaching a device", true },
	[MAP]		= { "mapping memory" },
	[SET_MSI]	= { "asking for interrupts", true },
	[PRESERVE]	= { "preserving a device", true },
	[FINISH]	= { "finishing" },
	[CLOSE_SESSION]	= { "closing the session" },
};

static const enum what take_over[] = {
	OPEN_LUO, GET_SESSION, GET_FILE, GET_MEMORY, OPEN_IOMMU, BIND, ALLOC, ATTACH, MAP,
	SET_MSI, FINISH, CLOSE_SESSION,
};

static const enum what hand_over[] = {
	OPEN_FILE, OPEN_IOMMU, BIND, ALLOC, ATTACH, MAP, SET_MSI, PRESERVE,
};

/* Give the n-th call of a role, and which device it is for, or -1 if there are not so many. */
static int nth_call(enum vlu_role role, unsigned int nr_devices, unsigned int n,
		    unsigned int *device)
{
	const enum what *what = role == VLU_TAKES_OVER ? take_over : hand_over;
	size_t nr = role == VLU_TAKES_OVER ? ARRAY_SIZE(take_over) : ARRAY_SIZE(hand_over);

	for (size_t i = 0; i < nr; i++) {
		unsigned int times = calls[what[i]].of_device ? nr_devices : 1;

		*device = n;
		if (n < times)
			return what[i];
		n -= times;
	}

	return -1;
}

unsigned int vlu_nr_calls(enum vlu_role role, unsigned int nr_devices)
{
	unsigned int nr = 0, device;

	while (nth_call(role, nr_devices, nr, &device) >= 0)
		nr++;

	return nr;
}

static struct {
	int luo, session, memory, iommu;
	int file[VLU_VM_DEVICES];
	__u32 ioas;
	void *pages;
} has;

static int try_ioctl(int fd, unsigned long request, void *arg)
{
	return ioctl(fd, request, arg) ? -errno : 0;
}

static int use_memory(const struct vlu_vm *vm)
{
	has.pages = mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, has.memory, 0);
	if (has.pages == MAP_FAILED)
		return -errno;

	return vlu_is_filled(has.pages, vm->number) ? 0 : -EILSEQ;
}

static int get_memory(const struct vlu_vm *vm)
{
	has.memory = luo_session_retrieve_fd(has.session, VLU_VM_MEMORY_TOKEN);

	return has.memory < 0 ? has.memory : use_memory(vm);
}

static int bind_device(int file)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind), .iommufd = has.iommu };

	return try_ioctl(file, VFIO_DEVICE_BIND_IOMMUFD, &bind);
}

static int alloc_ioas(void)
{
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	int ret = try_ioctl(has.iommu, IOMMU_IOAS_ALLOC, &alloc);

	has.ioas = alloc.out_ioas_id;

	return ret;
}

static int attach_device(int file)
{
	struct vfio_device_attach_iommufd_pt attach = {
		.argsz = sizeof(attach),
		.pt_id = has.ioas,
	};

	return try_ioctl(file, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach);
}

static int map_memory(void)
{
	struct iommu_ioas_map map = {
		.size = sizeof(map),
		.flags = IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE |
			 IOMMU_IOAS_MAP_FIXED_IOVA,
		.ioas_id = has.ioas,
		.user_va = (uintptr_t)has.pages,
		.length = MEMORY_SIZE,
		.iova = IOVA,
	};

	return try_ioctl(has.iommu, IOMMU_IOAS_MAP, &map);
}

static int set_msi(int file)
{
	struct {
		struct vfio_irq_set header;
		__s32 fd;
	} set = {
		.header.argsz = sizeof(set),
		.header.flags = VFIO_IRQ_SET_ACTION_TRIGGER | VFIO_IRQ_SET_DATA_EVENTFD,
		.header.index = VFIO_PCI_MSI_IRQ_INDEX,
		.header.count = 1,
		.fd = eventfd(0, 0),
	};

	return try_ioctl(file, VFIO_DEVICE_SET_IRQS, &set);
}

static int get_file(const struct vlu_vm *vm, unsigned int i)
{
	int ret = luo_session_retrieve_fd(has.session, vm->dev[i]->token);

	has.file[i] = ret;
	if (vm->gone[i])
		return ret == -ENODEV ? 0 : ret < 0 ? ret : -EEXIST;

	return ret;
}

/* Return a negative errno if it fails. */
static int make_call(const struct vlu_vm *vm, enum what what, unsigned int i)
{
	if (calls[what].of_device && what != GET_FILE && vm->gone[i])
		return 0;

	switch (what) {
	case OPEN_LUO:
		return has.luo = luo_open_device();
	case GET_SESSION:
		return has.session = luo_retrieve_session(has.luo, vm->session);
	case GET_FILE:
		return get_file(vm, i);
	case GET_MEMORY:
		return get_memory(vm);
	case OPEN_FILE:
		return has.file[i] = vlu_try_open(vm->dev[i]);
	case OPEN_IOMMU:
		has.iommu = open("/dev/iommu", O_RDWR);
		return has.iommu < 0 ? -errno : 0;
	case BIND:
		return bind_device(has.file[i]);
	case ALLOC:
		return alloc_ioas();
	case ATTACH:
		return attach_device(has.file[i]);
	case MAP:
		return map_memory();
	case SET_MSI:
		return set_msi(has.file[i]);
	case PRESERVE:
		return plu_try_preserve(vm->outgoing_session, has.file[i], vm->dev[i]->token);
	case FINISH:
		return luo_session_finish(has.session);
	case CLOSE_SESSION:
		return close(has.session) ? -errno : 0;
	default:
		return -EINVAL;
	}
}

static void note(struct vlu_progress *progress, enum what what, unsigned int i, int ret)
{
	if (ret < 0 && !progress->error)
		progress->error = ret;
	if (what == GET_FILE)
		progress->asked[i] = true;
	if (what == GET_MEMORY)
		progress->asked_for_memory = true;
	if (what == FINISH)
		progress->has_finished = !ret;
}

static void __noreturn be_agent(enum vlu_role role, const struct vlu_vm *vm,
				unsigned int nr_calls, struct vlu_progress *progress, int tell,
				int hear)
{
	unsigned int device;
	int what;
	char c = 0;

	/* What is to be handed over, it has from who started it. */
	has.memory = vm->memory;
	if (role == VLU_HANDS_OVER && use_memory(vm))
		_exit(EXIT_FAILURE);

	for (unsigned int n = 0;; n++) {
		if (n == nr_calls && (write(tell, &c, 1) != 1 || read(hear, &c, 1) != 1))
			_exit(EXIT_FAILURE);
		what = nth_call(role, vm->nr_devices, n, &device);
		if (what < 0)
			_exit(EXIT_SUCCESS);
		progress->doing = calls[what].name;
		note(progress, what, device, make_call(vm, what, device));
	}
}

/* --- Outside ------------------------------------------------------------------------- */

bool vlu_asked_for_all(const struct vlu_vm *vm, const struct vlu_progress *progress)
{
	for (unsigned int i = 0; i < vm->nr_devices; i++)
		if (!progress->asked[i])
			return false;

	return progress->asked_for_memory;
}

void vlu_preserve_memory(struct vlu_vm *vm)
{
	struct vlu_memory memory;
	int ret;

	vlu_create_memory(&memory, NULL, MEMORY_SIZE, 0);
	vlu_fill(memory.region.vaddr, vm->number);
	munmap(memory.region.vaddr, MEMORY_SIZE);
	vm->memory = memory.fd;
	vm->outgoing_session = plu_session(vm->session);
	ret = plu_try_preserve(vm->outgoing_session, vm->memory, VLU_VM_MEMORY_TOKEN);
	if (ret)
		plu_bail("cannot preserve memory: %s", strerror(-ret));
}

static struct child agent;
static int tell_agent, hear_agent;

static bool is_heard(void *unused)
{
	struct pollfd events = { .fd = hear_agent, .events = POLLIN };

	return poll(&events, 1, 0) == 1;
}

bool vlu_start_agent(enum vlu_role role, const struct vlu_vm *vm, unsigned int nr_calls,
		     const struct vlu_progress **progress)
{
	static struct vlu_progress *shared;
	int to[2], from[2];

	if (!shared)
		shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED || pipe(to) || pipe(from))
		plu_bail("cannot start an agent: %s", strerror(errno));
	memset(shared, 0, sizeof(*shared));
	*progress = shared;

	agent.pid = start_child();
	if (!agent.pid) {
		close(to[1]);
		close(from[0]);
		be_agent(role, vm, nr_calls, shared, from[1], to[0]);
	}
	close(to[0]);
	close(from[1]);
	tell_agent = to[1];
	hear_agent = from[0];

	if (!plu_wait_for(is_heard, NULL))
		plu_say("%s does not end", shared->doing);
	else if (shared->error)
		plu_say("%s gives %d", shared->doing, shared->error);
	else
		return true;

	return false;
}

static bool agent_ends(void)
{
	close(tell_agent);
	close(hear_agent);

	return ends("the agent", &agent);
}

bool vlu_kill_agent(void)
{
	kill(agent.pid, SIGKILL);

	return agent_ends();
}

bool vlu_dismiss_agent(void)
{
	char c = 0;

	return write(tell_agent, &c, 1) == 1 && agent_ends();
}
