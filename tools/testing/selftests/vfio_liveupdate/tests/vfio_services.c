// SPDX-License-Identifier: GPL-2.0
/*
 * A service manager has the sessions of its services. It opens /dev/liveupdate first of
 * all, asks for each file once, finishes its session, whatever that gives, and closes
 * everything; then it starts the services, which get their files from it. When a service
 * uses its device, the kernel finishes the session by itself. When it has ended, and the
 * manager has let go of the file, too, anybody can have the device, and preserve it.
 */

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libliveupdate.h>

#include "vlu.h"

static const char *topology(void)
{
	return "-device intel-iommu\n"
		"-device pcie-root-port,id=rp1,chassis=1,addr=4\n"
		"-device edu,bus=rp1";
}

#define DEVICE		(&plu.dev[0])
#define SESSION		"vfio-services"
#define NEXT_SESSION	"vfio-services-next"
#define MEMORY_TOKEN	0x3e3
#define MEMORY_SIZE	8192
#define IOVA		0x100000
/* In the model, the session that the manager had */
#define CLOSED		1000

static struct vlu_memory memory;

static void *page(unsigned int number)
{
	return memory.region.vaddr + number * 4096;
}

static void check_use(struct vfio_pci_device *v, unsigned int number)
{
	vlu_fill(page(0), number);
	memset(page(1), 0, 4096);
	plu_ok(vlu_edu_load(v, IOVA) && vlu_edu_store(v, IOVA + 4096) &&
	       vlu_is_filled(page(1), number), "the device does DMA");
	vfio_pci_msi_enable(v, 0, 1);
	plu_ok(vlu_edu_interrupts(v, v->msi_eventfds[0], false), "and has interrupts");
}

static void preserve(const char *name)
{
	int session = plu_session(name);

	plu_preserve(session, DEVICE);
	plu_gives(plu_try_preserve(session, memory.fd, MEMORY_TOKEN), 0, "memory is preserved");
	plu_check("the device is outgoing, with its interrupts on");
}

static void kernel_a(void)
{
	struct vfio_pci_device *v;

	vlu_load_driver(false);
	plu_find_devices(1);
	vlu_bind(DEVICE);
	v = vlu_open(DEVICE, iommu_init("iommufd"));
	vlu_create_memory(&memory, v->iommu, MEMORY_SIZE, IOVA);
	check_use(v, 1);
	preserve(SESSION);
}

/* What the manager has for a service, and what finishing the session gave */
struct store {
	int file, memory, finished;
};

static void manage(int to)
{
	int luo = luo_open_device();
	int session = luo_retrieve_session(luo, SESSION);
	struct store store = {
		.file = plu_retrieve_fd(session, DEVICE->token),
		.memory = plu_retrieve_fd(session, MEMORY_TOKEN),
		.finished = luo_session_finish(session),
	};

	close(session);
	close(luo);
	if (write(to, &store, sizeof(store)) != sizeof(store))
		_exit(EXIT_FAILURE);
	for (;;)
		pause();
}

/* A file that another process has */
static int get_file(int pidfd, int fd)
{
	int file = syscall(SYS_pidfd_getfd, pidfd, fd, 0);

	if (file < 0)
		plu_bail("the service manager has not got its files: %s", strerror(errno));

	return file;
}

static pid_t start_manager(struct store *store)
{
	int ends[2], pidfd;
	pid_t pid;

	if (pipe(ends))
		plu_bail("pipe: %s", strerror(errno));
	pid = fork();
	if (pid < 0)
		plu_bail("fork: %s", strerror(errno));
	if (!pid)
		manage(ends[1]);
	close(ends[1]);
	if (read(ends[0], store, sizeof(*store)) != sizeof(*store))
		plu_bail("the service manager has no files");
	close(ends[0]);
	pidfd = syscall(SYS_pidfd_open, pid, 0);
	store->file = get_file(pidfd, store->file);
	store->memory = get_file(pidfd, store->memory);
	close(pidfd);

	return pid;
}

static void kernel_b(void)
{
	struct vfio_pci_device *v;
	struct iommu *iommu;
	struct store store;
	pid_t manager;

	plu_take_over();
	vlu_load_driver_when_asked();
	manager = start_manager(&store);
	plu_gives(store.finished, -EBUSY, "the manager can't finish its session yet");
	plu_ok(plu_is_incoming(DEVICE), "the device is incoming");

	iommu = iommu_init("iommufd");
	v = vfio_pci_device_init_fd(DEVICE->bdf, iommu, store.file);
	DEVICE->driver = "vfio-pci";
	DEVICE->incoming_session = CLOSED;
	plu_set_session_finished(CLOSED);
	plu_check("it is an ordinary one as soon as the service uses it");
	plu_gives(plu_try_retrieve_session(SESSION), -ENOENT, "the session is there no more");
	memory.fd = store.memory;
	vlu_map_memory(&memory, iommu, MEMORY_SIZE, IOVA);
	plu_ok(vlu_is_filled(page(1), 1), "what the device wrote to memory is there");
	check_use(v, 2);

	vfio_pci_device_cleanup(v);
	kill(manager, SIGKILL);
	waitpid(manager, NULL, 0);
	v = vlu_open(DEVICE, iommu);
	plu_ok(vlu_edu_is_alive(v, 3), "anybody can open the device when it has ended");
	check_use(v, 3);
	preserve(NEXT_SESSION);
}

static void kernel_c(void)
{
	struct vfio_pci_device *v;
	int session;

	vlu_load_driver(false);
	plu_take_over();
	session = plu_retrieve_session(NEXT_SESSION);
	v = vlu_retrieve(session, DEVICE, iommu_init("iommufd"));
	DEVICE->driver = "vfio-pci";
	vlu_retrieve_memory(&memory, v->iommu, MEMORY_SIZE, IOVA, session, MEMORY_TOKEN);
	plu_ok(vlu_is_filled(page(1), 3), "memory comes back from the next live update");
	check_use(v, 4);
	plu_finish(session);
	plu_check("and so does the device");
}

static const struct plu_test test = {
	.name = "vfio_services",
	.qemu = topology,
	.stage = {
		{ .run = kernel_a, .plan = 4, .cmdline = VLU_CMDLINE },
		{ .run = kernel_b, .plan = 12, .cmdline = VLU_CMDLINE },
		{ .run = kernel_c, .plan = 4, .cmdline = VLU_CMDLINE },
	},
};

int main(int argc, char *argv[])
{
	vlu_load_if_asked(argc, argv);

	return plu_main(argc, argv, &test);
}
