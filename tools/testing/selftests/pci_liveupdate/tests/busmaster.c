// SPDX-License-Identifier: GPL-2.0
/*
 * A preserved device goes on doing DMA while one kernel replaces the other, into memory
 * that is preserved too; another one does not.
 *
 * - edu copies a page to memory 100 ms after it was told to, which is just before the
 *   jump: by then the old kernel has shut down its devices, and the new one is not up.
 * - A USB controller writes to memory each millisecond, once, for a second: while the
 *   old kernel ends, and while the new one boots and enumerates PCI. Not one of these
 *   may be missing. Its schedule has a transfer descriptor (TD) for each frame, which
 *   it marks as done; that no device answers does not matter.
 *
 * A preserved one and another of each do the same. QEMU counts instructions, so that
 * time does not depend on what else the machine has to do.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "edu_regs.h"
#include "plu.h"
#include "uhci.h"

static const char *topology(void)
{
	return "-icount shift=0,sleep=off\n"
		"-device pcie-root-port,id=rp1,chassis=1,addr=4\n"
		"-device edu,bus=rp1,dma_mask=0xffffffff\n"
		"-device pcie-root-port,id=rp2,chassis=2,addr=5\n"
		"-device edu,bus=rp2,dma_mask=0xffffffff\n"
		"-device ich9-usb-uhci1,addr=6\n"
		"-device ich9-usb-uhci1,addr=7";
}

#define EDU_KEPT	"0000:00/04.0/00.0"
#define EDU_OTHER	"0000:00/05.0/00.0"
#define UHCI_KEPT	"0000:00/06.0"
#define UHCI_OTHER	"0000:00/07.0"

#define SESSION		"busmaster"
#define MEMORY_TOKEN	0x3e3

#define PAGE_SIZE	4096

/* What the devices write to, or read. Each part begins with a page. */
static struct memory {
	unsigned char kept[PAGE_SIZE];
	unsigned char other[PAGE_SIZE];
	struct uhci_schedule uhci_kept;
	struct uhci_schedule uhci_other;
} *memory;

static int map_memory(int fd)
{
	memory = mmap(NULL, sizeof(*memory), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		plu_bail("mmap: %s", strerror(errno));

	return fd;
}

static unsigned char pattern(unsigned int i)
{
	return i * 7 + i / 256 + 1;
}

static bool has_pattern(const unsigned char *page)
{
	for (unsigned int i = 0; i < EDU_LENGTH; i++)
		if (page[i] != pattern(i))
			return false;

	return true;
}

static bool is_empty(const unsigned char *page)
{
	for (unsigned int i = 0; i < PAGE_SIZE; i++)
		if (page[i])
			return false;

	return true;
}

/* --- edu ------------------------------------------------------------------- */

/* Fill the device's buffer from a page of memory, and let it be about to write it back. */
static bool edu_prepare(const struct plu_device *d, unsigned char *page)
{
	__u32 *regs = edu_map(d);
	bool ok;

	for (unsigned int i = 0; i < EDU_LENGTH; i++)
		page[i] = pattern(i);
	plu_set_bus_master(d->bdf, true);
	edu_write(regs, EDU_SOURCE, plu_physical(page));
	edu_write(regs, EDU_DESTINATION, EDU_BUFFER);
	edu_write(regs, EDU_COUNT, EDU_LENGTH);
	edu_write(regs, EDU_COMMAND, EDU_START);
	ok = plu_wait_for(edu_is_done, regs);

	memset(page, 0, PAGE_SIZE);
	edu_write(regs, EDU_SOURCE, EDU_BUFFER);
	edu_write(regs, EDU_DESTINATION, plu_physical(page));
	edu_unmap(regs);

	return ok;
}

static void edu_start(const struct plu_device *d)
{
	edu_write(edu_map(d), EDU_COMMAND, EDU_START | EDU_TO_MEMORY);
}

/* Does it work: is what it was given what it writes? */
static bool edu_works(const struct plu_device *d, unsigned char *page)
{
	__u32 *regs = edu_map(d);
	bool ok;

	edu_write(regs, EDU_COMMAND, EDU_START | EDU_TO_MEMORY);
	ok = plu_wait_for(edu_is_done, regs) && has_pattern(page);
	memset(page, 0, PAGE_SIZE);
	edu_unmap(regs);

	return ok;
}

/* --- The test -------------------------------------------------------------- */

static void kernel_a(void)
{
	int session, memfd;

	plu_find_devices(4);
	plu_gives(plu_driver_override(plu_at(UHCI_KEPT)->bdf, PLU_DRIVER), 0,
		  "the driver has a USB controller");

	memfd = memfd_create("busmaster", 0);
	if (memfd < 0 || ftruncate(memfd, sizeof(*memory)))
		plu_bail("memfd: %s", strerror(errno));
	map_memory(memfd);
	memset(memory, 0, sizeof(*memory));
	session = plu_session(SESSION);
	if (plu_try_preserve(session, memfd, MEMORY_TOKEN))
		plu_bail("cannot preserve memory");
	plu_preserve(session, plu_at(EDU_KEPT));
	plu_preserve(session, plu_at(UHCI_KEPT));
	plu_check("an edu and a USB controller are outgoing, others are not");

	plu_ok(edu_prepare(plu_at(EDU_KEPT), memory->kept) &&
	       edu_works(plu_at(EDU_KEPT), memory->kept), "one edu does DMA");
	plu_ok(edu_prepare(plu_at(EDU_OTHER), memory->other) &&
	       edu_works(plu_at(EDU_OTHER), memory->other), "so does the other");
	uhci_prepare(plu_at(UHCI_KEPT), &memory->uhci_kept, true);
	uhci_prepare(plu_at(UHCI_OTHER), &memory->uhci_other, true);
}

static void start(void)
{
	plu_find_devices(0);
	uhci_start(plu_at(UHCI_KEPT));
	uhci_start(plu_at(UHCI_OTHER));
	if (!plu_wait_for(uhci_has_begun, plu_at(UHCI_OTHER)))
		plu_bail("the USB controllers do not run");
	edu_start(plu_at(EDU_KEPT));
	edu_start(plu_at(EDU_OTHER));
}

static void check_memory(void)
{
	unsigned int kept, other;

	plu_ok(has_pattern(memory->kept), "the preserved edu has written its page");
	plu_ok(is_empty(memory->other), "the other has not");

	kept = uhci_done_in_row(&memory->uhci_kept);
	other = uhci_done_in_row(&memory->uhci_other);
	plu_ok(kept > other,
	       "the preserved USB controller has written %u times up to now, the other %u",
	       kept, other);
	plu_ok(plu_wait_for(uhci_is_over, plu_at(UHCI_KEPT)) &&
	       uhci_done_in_row(&memory->uhci_kept) == UHCI_NR_FRAMES - 1,
	       "when its second is over, it has not missed a millisecond");
	plu_ok(other && uhci_done(&memory->uhci_other) == other,
	       "the other has written, and no more since the old kernel");
}

static void kernel_b(void)
{
	int session, memfd;

	plu_take_over();
	plu_ok(plu_is_bus_master(plu_at(EDU_KEPT)->bdf) &&
	       plu_is_bus_master(plu_at(UHCI_KEPT)->bdf),
	       "the preserved devices are bus masters");
	plu_ok(!plu_is_bus_master(plu_at(EDU_OTHER)->bdf) &&
	       !plu_is_bus_master(plu_at(UHCI_OTHER)->bdf), "the others are not");

	session = plu_retrieve_session(SESSION);
	memfd = plu_retrieve_fd(session, MEMORY_TOKEN);
	if (memfd < 0)
		plu_bail("cannot retrieve memory: %s", strerror(-memfd));
	map_memory(memfd);
	check_memory();

	plu_gives(plu_driver_override(plu_at(UHCI_KEPT)->bdf, PLU_DRIVER), 0,
		  "the driver has the USB controller again");
	plu_check("the devices are incoming");
	plu_retrieve(session, plu_at(EDU_KEPT));
	plu_retrieve(session, plu_at(UHCI_KEPT));
	plu_finish(session);
	plu_check("the devices are finished");
	plu_ok(plu_is_bus_master(plu_at(EDU_KEPT)->bdf) &&
	       plu_is_bus_master(plu_at(UHCI_KEPT)->bdf), "they are bus masters");
}

static const struct plu_test test = {
	.name = "busmaster",
	.qemu = topology,
	.also = uhci_ids,
	.stage = {
		{ .run = kernel_a, .plan = 4, .before_jump = start },
		{ .run = kernel_b, .plan = 11 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
