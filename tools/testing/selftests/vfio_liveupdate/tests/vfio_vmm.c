// SPDX-License-Identifier: GPL-2.0
/*
 * What a virtual machine monitor does to keep a device and its memory over a live update,
 * with nothing around it. In the old kernel, with the character device of one that vfio-pci
 * is bound to; it stays there until the kernel ends, as its session does not survive it:
 *
 *	vfio_vmm preserve /dev/vfio/devices/vfio0
 *	vfio_vmm preserve-running /dev/vfio/devices/vfio0
 *
 * The second lets the device go on with its DMA meanwhile, be it behind an IOMMU or not. And
 * in the new one, with vfio-pci bound to the device before this:
 *
 *	vfio_vmm retrieve
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/iommufd.h>
#include <linux/liveupdate.h>
#include <linux/vfio.h>

#define SESSION	"vmm"
/* What the files are called in the session. Each file of a session has its own number. */
#define DEVICE	1
#define MEMORY	2

/* What the device can reach, and by which address. */
#define SIZE	0x10000UL
#define IOVA	0x10000000UL

static void fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

static int open_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		fail(path);

	return fd;
}

static void call(int fd, unsigned long request, void *arg, const char *what)
{
	if (ioctl(fd, request, arg))
		fail(what);
}

/* Only one process at a time can have this open, so close it again. */
static int get_session(unsigned long request)
{
	/* The structure for retrieving one is the same. */
	struct liveupdate_ioctl_create_session session = {
		.size = sizeof(session),
		.name = SESSION,
	};
	int luo = open_file("/dev/liveupdate");

	call(luo, request, &session, "session");
	close(luo);

	return session.fd;
}

static void preserve_file(int session, int fd, unsigned long long token)
{
	struct liveupdate_session_preserve_fd preserve = {
		.size = sizeof(preserve),
		.fd = fd,
		.token = token,
	};

	call(session, LIVEUPDATE_SESSION_PRESERVE_FD, &preserve, "preserve");
}

static int retrieve_file(int session, unsigned long long token)
{
	struct liveupdate_session_retrieve_fd retrieve = {
		.size = sizeof(retrieve),
		.token = token,
	};

	call(session, LIVEUPDATE_SESSION_RETRIEVE_FD, &retrieve, "retrieve");

	return retrieve.fd;
}

/*
 * Make the device usable: the same for a file that was opened and one that came back. In that
 * order one that kept running finds its memory by the new page table from the first moment.
 */
static void bind_device(int device, int memory)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind) };
	struct iommu_ioas_alloc ioas = { .size = sizeof(ioas) };
	struct iommu_ioas_map map = {
		.size = sizeof(map),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
			 IOMMU_IOAS_MAP_WRITEABLE,
		.length = SIZE,
		.iova = IOVA,
	};
	struct vfio_device_attach_iommufd_pt attach = { .argsz = sizeof(attach) };
	void *at = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);

	if (at == MAP_FAILED)
		fail("memory");
	bind.iommufd = open_file("/dev/iommu");
	call(bind.iommufd, IOMMU_IOAS_ALLOC, &ioas, "address space");
	map.ioas_id = ioas.out_ioas_id;
	map.user_va = (unsigned long)at;
	call(bind.iommufd, IOMMU_IOAS_MAP, &map, "map");
	call(device, VFIO_DEVICE_BIND_IOMMUFD, &bind, "bind");
	attach.pt_id = ioas.out_ioas_id;
	call(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach, "attach");
	/* Now set up interrupts. */
}

static void let_run(int device)
{
	struct {
		struct vfio_device_feature header;
		struct vfio_device_feature_liveupdate liveupdate;
	} feature = {
		.header = {
			.argsz = sizeof(feature),
			.flags = VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_LIVEUPDATE,
		},
		.liveupdate.flags = VFIO_DEVICE_LIVEUPDATE_RUNNING,
	};

	call(device, VFIO_DEVICE_FEATURE, &feature, "keep running");
}

static void preserve(const char *path, int running)
{
	int device = open_file(path), memory = memfd_create("memory", 0), session;

	if (memory < 0 || ftruncate(memory, SIZE))
		fail("memory");
	bind_device(device, memory);
	if (running)
		let_run(device);
	session = get_session(LIVEUPDATE_IOCTL_CREATE_SESSION);
	preserve_file(session, memory, MEMORY);
	preserve_file(session, device, DEVICE);

	/*
	 * From now on what is mapped can't be changed, if it runs. To take it back, close the
	 * session.
	 */
	pause();
}

static void retrieve(void)
{
	struct liveupdate_session_finish finish = { .size = sizeof(finish) };
	int session = get_session(LIVEUPDATE_IOCTL_RETRIEVE_SESSION);
	int memory = retrieve_file(session, MEMORY), device = retrieve_file(session, DEVICE);

	bind_device(device, memory);
	call(session, LIVEUPDATE_SESSION_FINISH, &finish, "finish");

	/* The device is an ordinary one. It has gone on all the time, or was reset. */
}

int main(int argc, char *argv[])
{
	if (argc == 3 && !strcmp(argv[1], "preserve")) {
		preserve(argv[2], 0);
	} else if (argc == 3 && !strcmp(argv[1], "preserve-running")) {
		preserve(argv[2], 1);
	} else if (argc == 2 && !strcmp(argv[1], "retrieve")) {
		retrieve();
	} else {
		fprintf(stderr, "usage: %s preserve[-running] FILE | retrieve\n", argv[0]);
		return EXIT_FAILURE;
	}

	return EXIT_SUCCESS;
}
