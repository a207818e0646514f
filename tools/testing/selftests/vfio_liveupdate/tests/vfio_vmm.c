// SPDX-License-Identifier: GPL-2.0
/*
 * What a virtual machine monitor does to keep a device over a live update, with nothing
 * around it. In the old kernel, with the character device of one that vfio-pci is bound
 * to; it stays there until the kernel ends, as its session does not survive it:
 *
 *	vfio_vmm preserve /dev/vfio/devices/vfio0
 *
 * And in the new one, with vfio-pci bound to the device before this:
 *
 *	vfio_vmm retrieve
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/iommufd.h>
#include <linux/liveupdate.h>
#include <linux/vfio.h>

#define SESSION	"vmm"
/* What the file is called in the session. Each file of a session has its own number. */
#define TOKEN	1

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

/* Make the device usable: the same for a file that was opened and one that came back. */
static void bind_device(int device)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind) };
	struct iommu_ioas_alloc ioas = { .size = sizeof(ioas) };
	struct vfio_device_attach_iommufd_pt attach = { .argsz = sizeof(attach) };

	bind.iommufd = open_file("/dev/iommu");
	call(device, VFIO_DEVICE_BIND_IOMMUFD, &bind, "bind");
	call(bind.iommufd, IOMMU_IOAS_ALLOC, &ioas, "address space");
	attach.pt_id = ioas.out_ioas_id;
	call(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach, "attach");
	/* Now map memory with IOMMU_IOAS_MAP, and set up interrupts. */
}

static void preserve(const char *path)
{
	struct liveupdate_session_preserve_fd preserve = {
		.size = sizeof(preserve),
		.token = TOKEN,
	};
	int session;

	preserve.fd = open_file(path);
	bind_device(preserve.fd);
	session = get_session(LIVEUPDATE_IOCTL_CREATE_SESSION);
	call(session, LIVEUPDATE_SESSION_PRESERVE_FD, &preserve, "preserve");

	/* Before the reboot call: interrupts off. To take it back, close the session. */
	pause();
}

static void retrieve(void)
{
	struct liveupdate_session_retrieve_fd retrieve = {
		.size = sizeof(retrieve),
		.token = TOKEN,
	};
	struct liveupdate_session_finish finish = { .size = sizeof(finish) };
	int session = get_session(LIVEUPDATE_IOCTL_RETRIEVE_SESSION);

	call(session, LIVEUPDATE_SESSION_RETRIEVE_FD, &retrieve, "retrieve");
	bind_device(retrieve.fd);
	call(session, LIVEUPDATE_SESSION_FINISH, &finish, "finish");

	/* The device is an ordinary one, open as retrieve.fd. */
}

int main(int argc, char *argv[])
{
	if (argc == 3 && !strcmp(argv[1], "preserve")) {
		preserve(argv[2]);
	} else if (argc == 2 && !strcmp(argv[1], "retrieve")) {
		retrieve();
	} else {
		fprintf(stderr, "usage: %s preserve FILE | retrieve\n", argv[0]);
		return EXIT_FAILURE;
	}

	return EXIT_SUCCESS;
}
