// SPDX-License-Identifier: GPL-2.0
/*
 * What it costs that a device goes on with its DMA through an IOMMU: for each page of its
 * page table when its file is preserved, and for each page of memory that can be reached when
 * it is looked up whether that is preserved. Then the jump is compared with one without
 * such a device.
 */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "stopwatch.h"
#include "translated.h"

static struct controller usb = TRANSLATED_CONTROLLER;

static const char *topology(void)
{
	return TRANSLATED_QEMU(",aw-bits=48", "\n-m 2G");
}

#define SESSION		"translated_cost"
#define NOTES		"translated_cost-notes"
#define CHECK_COST	"vfio_check_cost"

/* The same memory again and again, as if it were more. */
#define SIZE		(256UL << 20)
#define COPIES		4
#define IOVA		0x10000000000UL
#define LARGE		(2UL << 20)
#define TABLE_ENTRIES	512
#define TOKEN		0x3e4

#define HUGE		"/sys/kernel/mm/transparent_hugepage/shmem_enabled"

/* Instructions for each page that can be reached */
#define MOST		50

static struct {
	struct stopwatch jump;
	__u64 arrived;
} notes;

static void *map_file(int fd)
{
	/* Where huge pages fit in */
	void *at = mmap(NULL, SIZE + LARGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	at = (void *)(((unsigned long)at + LARGE - 1) & -LARGE);
	at = mmap(at, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	if (at == MAP_FAILED)
		plu_bail("mmap: %s", strerror(errno));

	return at;
}

/* Once more, whatever was found before. */
static void forget_what_is_known(void)
{
	int fd = memfd_create("forgotten", 0), session = plu_session("forgotten");

	if (ftruncate(fd, TRANSLATED_PAGE) || plu_try_preserve(session, fd, TOKEN))
		plu_bail("memory can't be preserved");
	plu_close_session(session);
	close(fd);
}

static __u64 time_check(void)
{
	char text[32];

	if (plu_load_module("external/" CHECK_COST, "device=" TRANSLATED_BDF) ||
	    plu_read_file("/sys/module/" CHECK_COST "/parameters/took", text, sizeof(text)) < 0 ||
	    plu_unload_module(CHECK_COST))
		plu_bail("it is not found out what can be reached");

	return strtoull(text, NULL, 10);
}

/* With so much memory in pages of that size, of which a table has 512 */
static void measure(const char *size, unsigned long page)
{
	struct iommu *iommu = iommu_init("iommufd");
	int fd = memfd_create("memory", 0), session = plu_session(SESSION);
	unsigned long leaves = COPIES * SIZE / page, tables = leaves / TABLE_ENTRIES;
	struct dma_region region[COPIES];
	struct vfio_pci_device *v;
	__u64 start, preserve, check, again;

	if (fd < 0 || ftruncate(fd, SIZE))
		plu_bail("no memory: %s", strerror(errno));
	v = prepare_controller(&usb, iommu);
	for (unsigned int i = 0; i < COPIES; i++) {
		region[i] = (struct dma_region){
			.vaddr = map_file(fd),
			.size = SIZE,
			.iova = IOVA + i * SIZE,
		};
		iommu_map(iommu, &region[i]);
	}

	/* Without its memory: nothing else is found out then. */
	start = stopwatch_now();
	plu_preserve(session, controller_device(&usb));
	preserve = stopwatch_now() - start;
	if (plu_try_preserve(session, fd, TOKEN) || preserve_memory(session, &usb))
		plu_bail("memory can't be preserved");
	check = time_check();
	again = time_check();
	forget_what_is_known();
	if (time_check() < again)
		plu_bail("it is not looked up again");

	plu_say("figure translated.preserve.%s %llu", size, (unsigned long long)preserve / tables);
	plu_say("figure translated.check.%s %llu", size, (unsigned long long)check / leaves);
	plu_say("figure translated.checked.%s %llu", size, (unsigned long long)again);
	if (stopwatch_tells())
		plu_ok(check / leaves <= MOST && again < 100 * MOST,
		       "%s: %llu instructions for each page, and %llu for all when that is known",
		       size, (unsigned long long)check / leaves, (unsigned long long)again);
	else
		plu_ok(true, "%s: what looks for mistakes costs more", size);

	plu_close_session(session);
	vfio_pci_device_cleanup(v);
	iommu_cleanup(iommu);
	for (unsigned int i = 0; i < COPIES; i++)
		munmap(region[i].vaddr, SIZE);
	close(fd);
	close(usb.memory.fd);
}

static void measure_large(void)
{
	if (plu_write_file(HUGE, "force"))
		plu_ok(true, "2M: there are no pages of that size (CONFIG_TRANSPARENT_HUGEPAGE)");
	else
		measure("2M", LARGE);
	plu_write_file(HUGE, "never");
}

static void time_jump(void)
{
	stopwatch_load(NOTES, &notes, sizeof(notes));
}

static void arrive(const char *what)
{
	__u64 now = stopwatch_now();

	stopwatch_read(NOTES, &notes, sizeof(notes));
	notes.arrived = now;
	plu_say("figure translated.jump.%s %llu", what,
		(unsigned long long)notes.arrived - notes.jump.started);
}

static void kernel_a(void)
{
	vlu_load_driver(false);
	plu_find_devices(1);
	measure("4K", TRANSLATED_PAGE);
	measure_large();
	time_jump();
}

static void kernel_b(void)
{
	int session;

	arrive("without");
	vlu_load_driver(false);
	plu_find_devices(1);
	plu.handover = "foreign";
	prepare_controller(&usb, iommu_init("iommufd"));
	session = plu_session(SESSION);
	plu_gives(preserve_memory(session, &usb), 0, "memory is preserved");
	plu_preserve(session, controller_device(&usb));
	plu_check("it is outgoing");
	time_jump();
}

static void start(void)
{
	start_controller(&usb);
	stopwatch_start();
}

static void kernel_c(void)
{
	struct iommu *iommu;
	int session;

	arrive("with");
	vlu_load_driver(false);
	plu_take_over();
	vlu_bind(controller_device(&usb));
	session = plu_retrieve_session(SESSION);
	iommu = iommu_init("iommufd");
	retrieve_memory(session, &usb, iommu);
	lost_nothing_over_jump(&usb);
	retrieve_controller(session, &usb, iommu);
	plu_gives(vlu_try_finish(session), 0, "its session is finished");
}

static const struct plu_test test = {
	.name = "translated_cost",
	.qemu = topology,
	.also = uhci_ids,
	.stage = {
		{ .run = kernel_a, .plan = 2, .cmdline = VLU_CMDLINE,
		  .before_jump = stopwatch_start },
		{ .run = kernel_b, .plan = 2, .cmdline = VLU_CMDLINE, .before_jump = start },
		{ .run = kernel_c, .plan = 2, .cmdline = VLU_CMDLINE },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
