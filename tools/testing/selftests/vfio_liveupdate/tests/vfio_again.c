// SPDX-License-Identifier: GPL-2.0
/*
 * A file that came back survives another live update, once it is finished; not before.
 * Closing its session finishes it, too, also while somebody unbinds the driver. The memory
 * in which one kernel tells the next about it is given back each time.
 */

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vlu.h"

static const char *topology(void)
{
	return "-device intel-iommu\n"
		"-device pcie-root-port,id=rp1,chassis=1,addr=4\n"
		"-device edu,bus=rp1";
}

#define DEVICE	(&plu.dev[0])
#define FIRST	"vfio-first"
#define SECOND	"vfio-second"

static void kernel_a(void)
{
	int session;

	vlu_load_driver(false);
	plu_find_devices(1);
	vlu_bind(DEVICE);
	vlu_open(DEVICE, iommu_init("iommufd"));
	session = plu_session(FIRST);
	plu_preserve(session, DEVICE);
	plu.note = vlu_find_record(DEVICE);
	plu_close_session(session);
	plu_ok(plu_page_given_back(plu.note), "the memory of the record is given back");
	plu_check("the device is not outgoing");
	plu_preserve(plu_session(FIRST), DEVICE);
	plu_check("it is outgoing again");
	plu.note = vlu_find_record(DEVICE);
}

static void kernel_b(void)
{
	struct vfio_pci_device *v;
	int first, second;

	vlu_load_driver(false);
	plu_take_over();
	vlu_bind(DEVICE);
	first = plu_retrieve_session(FIRST);
	second = plu_session(SECOND);
	plu_retrieve(first, DEVICE);
	plu_gives(plu_try_preserve(second, DEVICE->fd, DEVICE->token), -ENOENT,
		  "it can't be preserved again before it is bound");
	v = vfio_pci_device_init_fd(DEVICE->bdf, iommu_init("iommufd"), DEVICE->fd);
	DEVICE->taken_over = true;
	plu_gives(plu_try_preserve(second, DEVICE->fd, DEVICE->token), -EBUSY,
		  "nor before it is finished");
	plu_check("it is incoming");
	plu_finish(first);
	plu_check("it is finished");
	plu_ok(plu_page_given_back(plu.note), "the memory of its record is given back");
	plu_preserve(second, DEVICE);
	plu_check("it is preserved again");
	plu_ok(vlu_edu_is_alive(v, 2), "and works");
}

/* A process that unbinds the driver when it is told to, and has none of our later files. */
static pid_t make_unbinder(int *tell)
{
	int pipe_fds[2];
	pid_t pid;
	char c;

	if (pipe(pipe_fds))
		plu_bail("pipe: %s", strerror(errno));
	pid = fork();
	if (pid < 0)
		plu_bail("fork: %s", strerror(errno));
	if (!pid)
		_exit(read(pipe_fds[0], &c, 1) != 1 || plu_unbind(DEVICE));
	*tell = pipe_fds[1];

	return pid;
}

static bool is_waited_for(void *unused)
{
	return plu_says_once("blocked until released by user");
}

static void kernel_c(void)
{
	struct vfio_pci_device *v;
	int session, status, tell;
	pid_t unbinder;

	vlu_load_driver(false);
	plu_take_over();
	vlu_bind(DEVICE);
	plu_check("it is incoming again");
	unbinder = make_unbinder(&tell);
	session = plu_retrieve_session(SECOND);
	v = vlu_retrieve(session, DEVICE, iommu_init("iommufd"));
	plu_ok(vlu_edu_is_alive(v, 3), "it works once more");

	plu_ok(write(tell, "", 1) == 1 && plu_wait_for(is_waited_for, NULL),
	       "who unbinds its driver waits for its user");
	plu_close_session(session);
	plu_ok(plu_says_once("0000:01:00.0: liveupdate: finished"),
	       "closing its session finishes it all the same");
	vfio_pci_device_cleanup(v);
	DEVICE->fd = -1;
	plu_ok(waitpid(unbinder, &status, 0) == unbinder && !status,
	       "it is unbound when it is closed");
	DEVICE->driver = NULL;
	plu_check("and is an ordinary one");
}

static const struct plu_test test = {
	.name = "vfio_again",
	.qemu = topology,
	.stage = {
		{ .run = kernel_a, .plan = 3, .cmdline = VLU_CMDLINE_RECORDS },
		{ .run = kernel_b, .plan = 7, .cmdline = VLU_CMDLINE },
		{ .run = kernel_c, .plan = 6, .cmdline = VLU_CMDLINE },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
