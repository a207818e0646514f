// SPDX-License-Identifier: GPL-2.0
/*
 * Without an IOMMU, a device whose user wishes so goes on with its DMA while the kernel is
 * replaced, and is not reset; another one is stopped. Neither raises interrupts any more.
 * A third one goes on as well, until binding its file fails: that stops it, and it says so.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
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

#define RUNNING		(&plu.dev[0])
#define STOPPED		(&plu.dev[1])
#define UNLUCKY		(&plu.dev[2])
#define SESSION		"vfio-running"
#define SPY		"pci_liveupdate_spy"
#define MEMORY_TOKEN	0x3e3
#define MEMORY_SIZE	16384

static struct vlu_memory memory;
static struct vfio_pci_device *running, *stopped;

/* Each has a page. */
static void *page_of(const struct plu_device *d)
{
	return memory.region.vaddr + (d - plu.dev) * 4096;
}

/* What they are like when the kernel ends has another. */
static void *last_look(void)
{
	return memory.region.vaddr + 3 * 4096;
}

static struct vfio_pci_device *prepare(struct plu_device *d, struct iommu *iommu,
				       unsigned int number)
{
	struct vfio_pci_device *v;

	v = vlu_open(d, iommu);
	vlu_fill(page_of(d), number);
	plu_ok(vlu_edu_load(v, plu_physical(page_of(d))), "a device copies from memory");
	memset(page_of(d), 0, 4096);
	vlu_edu_prepare_store(v, plu_physical(page_of(d)));

	return v;
}

/* By a file that is not the one which is preserved */
static void wish_for(struct plu_device *d, struct iommu *iommu)
{
	struct vfio_pci_device *v;

	v = vlu_open(d, iommu);
	plu_gives(vlu_set_feature(v->fd, VFIO_DEVICE_LIVEUPDATE_RUNNING), 0,
		  "a file can wish for its device to keep running");
	vfio_pci_device_cleanup(v);
	d->fd = -1;
}

static void kernel_a(void)
{
	struct iommu *iommu;
	int session;

	vlu_load_driver(true);
	plu_find_devices(3);
	for (struct plu_device *d = plu.dev; d < plu_end(); d++)
		vlu_bind(d);
	iommu = iommu_init("iommufd");
	vlu_create_memory(&memory, NULL, MEMORY_SIZE, 0);
	memset(memory.region.vaddr, 0, MEMORY_SIZE);
	session = plu_session(SESSION);
	plu_gives(plu_try_preserve(session, memory.fd, MEMORY_TOKEN), 0, "memory is preserved");
	running = prepare(RUNNING, iommu, 1);
	wish_for(STOPPED, iommu);
	stopped = prepare(STOPPED, iommu, 2);
	plu_gives(vlu_get_feature(stopped->fd), 0,
		  "the other is not, whatever an earlier file wished for");
	plu_gives(vlu_set_feature(running->fd, VFIO_DEVICE_LIVEUPDATE_RUNNING), 0,
		  "one is to keep running");
	plu_gives(vlu_get_feature(running->fd), VFIO_DEVICE_LIVEUPDATE_RUNNING, "it says so");
	vfio_pci_msi_enable(running, 0, 1);
	vfio_pci_msi_enable(stopped, 0, 1);
	plu_preserve(session, RUNNING);
	plu_preserve(session, STOPPED);
	if (vlu_set_feature(prepare(UNLUCKY, iommu, 3)->fd, VFIO_DEVICE_LIVEUPDATE_RUNNING))
		plu_bail("%s: can't run", UNLUCKY->bdf);
	plu_preserve(session, UNLUCKY);
	plu_gives(vlu_set_feature(stopped->fd, VFIO_DEVICE_LIVEUPDATE_RUNNING), -EBUSY,
		  "that can't be changed once a device is preserved");
	vlu_look_last("0000:01:00.0,0000:02:00.0", last_look());
	plu_check("all are outgoing");
}

/* Both are to write to memory 100 ms from now: when there is neither kernel, or the next. */
static void start_dma(void)
{
	vlu_edu_start_prepared("0000:01:00.0");
	vlu_edu_start_prepared("0000:02:00.0");
}

static bool is_empty(const unsigned char *page)
{
	for (unsigned int i = 0; i < 4096; i++)
		if (page[i])
			return false;

	return true;
}

/* Is bus mastering on whenever its command register is written? */
static void spy_on(const struct plu_device *d)
{
	char parameters[64];

	snprintf(parameters, sizeof(parameters), "device=%s", d->bdf);
	if (plu_load_module("external/" SPY, parameters))
		plu_bail("%s: no spy", d->bdf);
}

static long seen_by_spy(const char *what)
{
	char path[96], count[16];

	snprintf(path, sizeof(path), "/sys/module/" SPY "/parameters/%s", what);
	if (plu_read_file(path, count, sizeof(count)) <= 0)
		plu_bail("%s: cannot read it", path);

	return strtol(count, NULL, 10);
}

static bool has_no_interrupts(const struct plu_device *d)
{
	return plu_config_read(d->bdf, PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE;
}

/* The kernel can't tell what it bound the file to, when it has opened the device already. */
static int try_bind_without_answer(int fd)
{
	struct vfio_device_bind_iommufd *bind;
	int iommufd = open("/dev/iommu", O_RDWR);
	int ret;

	bind = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (bind == MAP_FAILED || iommufd < 0)
		plu_bail("can't prepare to bind: %s", strerror(errno));
	bind->argsz = sizeof(*bind);
	bind->iommufd = iommufd;
	if (mprotect(bind, 4096, PROT_READ))
		plu_bail("can't protect a page: %s", strerror(errno));
	ret = ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, bind) ? -errno : 0;
	munmap(bind, 4096);
	close(iommufd);

	return ret;
}

static void check_unlucky(int session, struct iommu *iommu)
{
	struct vfio_pci_device *unlucky;

	plu_ok(plu_is_bus_master(UNLUCKY->bdf), "a third one runs as well");
	plu_retrieve(session, UNLUCKY);
	plu_gives(try_bind_without_answer(UNLUCKY->fd), -EFAULT, "binding its file can fail");
	plu_ok(!plu_is_bus_master(UNLUCKY->bdf), "which stops it");
	unlucky = vfio_pci_device_init_fd(UNLUCKY->bdf, iommu, UNLUCKY->fd);
	UNLUCKY->taken_over = true;
	plu_gives(vlu_get_origin(unlucky->fd), VFIO_DEVICE_LIVEUPDATE_WAS_CLOSED,
		  "its file can still be bound, and says that it was closed");
}

static void kernel_b(void)
{
	struct iommu *iommu;
	int session;

	vlu_load_driver(true);
	plu_take_over();
	plu_ok(has_no_interrupts(RUNNING) && has_no_interrupts(STOPPED),
	       "they raise no interrupts");
	for (struct plu_device *d = plu.dev; d < plu_end(); d++)
		vlu_bind(d);
	plu_check("all are incoming");
	plu_ok(plu_is_bus_master(RUNNING->bdf) && !plu_is_bus_master(STOPPED->bdf),
	       "one is a bus master still, also with its driver, the other is not");

	session = plu_retrieve_session(SESSION);
	vlu_retrieve_memory(&memory, NULL, MEMORY_SIZE, 0, session, MEMORY_TOKEN);
	plu_ok(vlu_is_filled(page_of(RUNNING), 1), "what one wrote during the jump is there");
	plu_ok(is_empty(page_of(STOPPED)), "the other one wrote nothing");
	plu_ok(vlu_was_silent(last_look(), 0, RUNNING) && vlu_was_silent(last_look(), 1, STOPPED),
	       "they could raise no interrupts from the old kernel's end on");
	plu_ok(vlu_looked(last_look(), 0, PCI_COMMAND) & PCI_COMMAND_MASTER,
	       "the former was a bus master all the same");

	iommu = iommu_init("iommufd");
	running = vlu_retrieve(session, RUNNING, iommu);
	stopped = vlu_retrieve(session, STOPPED, iommu);
	plu_ok(plu_is_bus_master(RUNNING->bdf) && !plu_is_bus_master(STOPPED->bdf),
	       "so they are when they are bound");
	plu_gives(vlu_get_origin(running->fd), VFIO_DEVICE_LIVEUPDATE_KEPT_RUNNING,
		  "the former says so");
	plu_ok(has_no_interrupts(RUNNING), "it raises no interrupts yet");
	vfio_pci_msi_enable(running, 0, 1);
	plu_ok(vlu_edu_interrupts(running, running->msi_eventfds[0], false),
	       "it does when its user wants them");
	memset(page_of(RUNNING), 0, 4096);
	plu_ok(vlu_edu_store(running, plu_physical(page_of(RUNNING))) &&
	       vlu_is_filled(page_of(RUNNING), 1), "it writes the same again");
	check_unlucky(session, iommu);
	plu_finish(session);
	plu_check("they are finished");

	spy_on(RUNNING);
	vfio_pci_device_cleanup(running);
	vfio_pci_device_cleanup(stopped);
	plu_ok(!plu_is_bus_master(RUNNING->bdf) && seen_by_spy("writes") &&
	       seen_by_spy("writes") == seen_by_spy("switched_off"),
	       "it is stopped when it is closed, and is not a bus master in between");
	plu_unload_module(SPY);
	running = vlu_open(RUNNING, iommu);
	plu_ok(!plu_is_bus_master(RUNNING->bdf), "and when it is opened, as any other");
	vfio_pci_device_cleanup(running);
}

static const struct plu_test test = {
	.name = "vfio_running",
	.qemu = topology,
	.stage = {
		{ .run = kernel_a, .plan = 10, .cmdline = VLU_CMDLINE_NO_IOMMU,
		  .before_jump = start_dma },
		{ .run = kernel_b, .plan = 19, .cmdline = VLU_CMDLINE_NO_IOMMU },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
