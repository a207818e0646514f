// SPDX-License-Identifier: GPL-2.0
/*
 * An agent is killed when it has retrieved the files of devices that keep running, and has
 * not bound them. The devices are stopped before memory that they write to can go. If the
 * agent has retrieved all of its session, that is finished by itself. What it has not
 * retrieved stays in the session, which can be had again, and so can the device.
 */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vlu.h"

static const char *topology(void)
{
	return "-icount shift=0,sleep=off\n"
		"-device pcie-root-port,id=rp1,chassis=1,addr=4\n"
		"-device edu,bus=rp1,dma_mask=0xffffffff\n"
		"-device pcie-root-port,id=rp2,chassis=2,addr=5\n"
		"-device edu,bus=rp2,dma_mask=0xffffffff\n"
		"-device pcie-root-port,id=rp3,chassis=3,addr=6\n"
		"-device edu,bus=rp3,dma_mask=0xffffffff";
}

/* Of the first one's session, the agent retrieves all, */
#define ALL		(&plu.dev[0])
/* of the second one's only its file, */
#define SOME		(&plu.dev[1])
/* and the third one's session it has nothing to do with. */
#define OTHER		(&plu.dev[2])
#define MEMORY_TOKEN	0x3e3
/* A page that a device writes to, and another */
#define MEMORY_SIZE	8192
/* In the model, the session of the first one once it is closed */
#define CLOSED		1000

static const char *session_of(const struct plu_device *d)
{
	static char name[32];

	snprintf(name, sizeof(name), "vfio-killed-%td", d - plu.dev);

	return name;
}

static void preserve(struct plu_device *d, struct iommu *iommu)
{
	unsigned int number = d - plu.dev + 1;
	int session = plu_session(session_of(d));
	struct vfio_pci_device *v;
	struct vlu_memory memory;
	void *page;

	vlu_bind(d);
	v = vlu_open(d, iommu);
	vlu_create_memory(&memory, NULL, MEMORY_SIZE, 0);
	page = memory.region.vaddr;
	vlu_fill(page, number);
	vlu_fill(page + 4096, 10 * number);
	if (!vlu_edu_load(v, plu_physical(page)) ||
	    vlu_set_feature(v->fd, VFIO_DEVICE_LIVEUPDATE_RUNNING))
		plu_bail("%s: can't run", d->bdf);
	memset(page, 0, 4096);
	if (plu_try_preserve(session, memory.fd, MEMORY_TOKEN))
		plu_bail("%s: its memory can't be preserved", d->bdf);
	plu_preserve(session, d);
	vlu_edu_prepare_store(v, plu_physical(page));
	if (d == ALL)
		plu.note = plu_physical(page);
}

static void kernel_a(void)
{
	struct iommu *iommu;

	vlu_load_driver(true);
	plu_find_devices(3);
	iommu = iommu_init("iommufd");
	for (struct plu_device *d = plu.dev; d < plu_end(); d++)
		preserve(d, iommu);
	plu_check("three devices are outgoing, to keep running");
}

static bool is_done(void *d)
{
	return !(vlu_access(d, EDU_COMMAND, NULL) & EDU_START);
}

/* The devices are to write to memory 100 ms from now. */
static void be_killed(void)
{
	int all = plu_retrieve_session(session_of(ALL));
	int some = plu_retrieve_session(session_of(SOME));

	if (plu_retrieve_fd(all, ALL->token) < 0 || plu_retrieve_fd(all, MEMORY_TOKEN) < 0 ||
	    plu_retrieve_fd(some, SOME->token) < 0)
		_exit(EXIT_FAILURE);
	for (struct plu_device *d = plu.dev; d < plu_end(); d++)
		vlu_edu_start_prepared(d->bdf);
	kill(getpid(), SIGKILL);
}

static void run_agent(void)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		be_killed();
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		plu_bail("no agent: %s", strerror(errno));
	plu_ok(WIFSIGNALED(status), "an agent is killed that has retrieved two devices");
}

static void check_finished(void)
{
	unsigned char page[VLU_LENGTH];

	plu_gives(plu_try_retrieve_session(session_of(ALL)), -ENOENT,
		  "the session that it had retrieved all of is finished");
	plu_ok(plu_page_given_back(plu.note), "its memory is given back");
	plu_ok(!plu_is_bus_master(ALL->bdf) && !plu_is_incoming(ALL),
	       "its device is stopped, and an ordinary one");
	plu_ok(plu_wait_for(is_done, ALL), "the device has ended what it did");
	plu_read_memory(plu.note, page, sizeof(page));
	plu_ok(!vlu_is_filled(page, 1), "and has not written to the memory");
	ALL->incoming_session = CLOSED;
	plu_set_session_finished(CLOSED);
}

static bool is_empty(const unsigned char *page)
{
	for (unsigned int i = 0; i < 4096; i++)
		if (page[i])
			return false;

	return true;
}

static void check_kept(struct iommu *iommu)
{
	struct vfio_pci_device *v;
	struct vlu_memory memory;
	int session;

	plu_ok(!plu_is_bus_master(SOME->bdf) && plu_is_incoming(SOME),
	       "the other is stopped, and incoming");
	plu_gives(vlu_try_open(SOME), -EBUSY, "nobody can open it");
	session = plu_retrieve_session(session_of(SOME));
	plu_ok(plu_wait_for(is_done, SOME), "it has ended what it did");
	vlu_retrieve_memory(&memory, NULL, MEMORY_SIZE, 0, session, MEMORY_TOKEN);
	plu_ok(is_empty(memory.region.vaddr) && vlu_is_filled(memory.region.vaddr + 4096, 20),
	       "its session can be had again, with the memory as it was");
	v = vlu_retrieve(session, SOME, iommu);
	plu_gives(vlu_get_origin(v->fd), VFIO_DEVICE_LIVEUPDATE_WAS_CLOSED,
		  "so can its file, which says why the device was stopped");
	plu_ok(!plu_is_bus_master(SOME->bdf), "it is stopped also when it is bound");
	vlu_fill(memory.region.vaddr, 5);
	plu_ok(vlu_edu_load(v, plu_physical(memory.region.vaddr)) &&
	       vlu_edu_store(v, plu_physical(memory.region.vaddr + 4096)) &&
	       vlu_is_filled(memory.region.vaddr + 4096, 5), "it can be used again");
	plu_finish(session);
}

static void check_other(struct iommu *iommu)
{
	struct vfio_pci_device *v;
	struct vlu_memory memory;
	int session;

	plu_ok(plu_is_bus_master(OTHER->bdf), "a device that it had nothing to do with runs on");
	plu_ok(plu_wait_for(is_done, OTHER), "it has written to memory");
	session = plu_retrieve_session(session_of(OTHER));
	vlu_retrieve_memory(&memory, NULL, MEMORY_SIZE, 0, session, MEMORY_TOKEN);
	plu_ok(vlu_is_filled(memory.region.vaddr, 3), "what it wrote is there");
	v = vlu_retrieve(session, OTHER, iommu);
	plu_gives(vlu_get_origin(v->fd), VFIO_DEVICE_LIVEUPDATE_KEPT_RUNNING,
		  "its file says that it kept running");
	plu_finish(session);
}

static void kernel_b(void)
{
	struct iommu *iommu;

	vlu_load_driver(true);
	plu_take_over();
	iommu = iommu_init("iommufd");
	plu_ok(plu_is_bus_master(ALL->bdf) && plu_is_bus_master(SOME->bdf), "the devices run");
	run_agent();
	check_finished();
	check_kept(iommu);
	check_other(iommu);
	plu_check("all are finished");
	plu_ok(vlu_edu_is_alive(vlu_open(ALL, iommu), 1), "the first one can be opened by anybody");
}

static const struct plu_test test = {
	.name = "vfio_killed",
	.qemu = topology,
	.stage = {
		{ .run = kernel_a, .plan = 1, .cmdline = VLU_CMDLINE_NO_IOMMU },
		{ .run = kernel_b, .plan = 20, .cmdline = VLU_CMDLINE_NO_IOMMU },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
