// SPDX-License-Identifier: GPL-2.0
/*
 * Between the two kernels no IOMMU translates anything, and a device would reach memory by
 * the addresses of what it was given that it never was given. So bus mastering of a
 * preserved device whose DMA is translated is off from the old kernel's end on, until its
 * driver switches it on, and the kernel says so. One whose DMA is not translated goes on,
 * into preserved memory.
 *
 * edu writes to memory 100 ms after it was told to, which is just before the jump: by then
 * the old kernel has shut down its devices, and the new one is not up. QEMU counts
 * instructions, so that time does not depend on what else the machine has to do.
 */

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "edu_regs.h"
#include "plu.h"

static const char *topology(void)
{
	return "-icount shift=0,sleep=off\n"
		"-device intel-iommu\n"
		"-device pcie-root-port,id=rp1,chassis=1,addr=4\n"
		"-device edu,bus=rp1,dma_mask=0xffffffff\n"
		"-device pcie-root-port,id=rp2,chassis=2,addr=5\n"
		"-device edu,bus=rp2,dma_mask=0xffffffff\n"
		"-device pcie-root-port,id=rp3,chassis=3,addr=6\n"
		"-device edu,bus=rp3,dma_mask=0xffffffff";
}

/* Preserved, and translated, or not; and another */
#define KEPT		"0000:00/04.0/00.0"
#define OTHER		"0000:00/05.0/00.0"
#define UNTRANSLATED	"0000:00/06.0/00.0"

#define SESSION		"iommu_window"
#define MEMORY_TOKEN	0x3e3
#define CMDLINE		"intel_iommu=on iommu=nopt"

#define IS_OFF		"an IOMMU translates its DMA: bus mastering is off until its driver " \
			"switches it on"

#define PAGE_SIZE	4096

/* Where each is told to write to, at its physical address. */
static struct memory {
	unsigned char kept[PAGE_SIZE];
	unsigned char other[PAGE_SIZE];
	unsigned char untranslated[PAGE_SIZE];
} *memory;

static void map_memory(int fd)
{
	memory = mmap(NULL, sizeof(*memory), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		plu_bail("mmap: %s", strerror(errno));
}

/* What a device writes is its buffer, which is all zero. */
#define NOT_WRITTEN	0xff

static void clear_memory(void)
{
	memset(memory, NOT_WRITTEN, sizeof(*memory));
}

static unsigned int written(const unsigned char *page)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < PAGE_SIZE; i++)
		n += page[i] != NOT_WRITTEN;

	return n;
}

static void prepare(const char *path, const unsigned char *page)
{
	const struct plu_device *d = plu_at(path);
	__u32 *regs = edu_map(d);

	plu_set_bus_master(d->bdf, true);
	edu_write(regs, EDU_SOURCE, EDU_BUFFER);
	edu_write(regs, EDU_DESTINATION, plu_physical(page));
	edu_write(regs, EDU_COUNT, EDU_LENGTH);
	edu_unmap(regs);
}

static void start(const char *path)
{
	__u32 *regs = edu_map(plu_at(path));

	edu_write(regs, EDU_COMMAND, EDU_START | EDU_TO_MEMORY);
	edu_unmap(regs);
}

static void start_all(void)
{
	start(KEPT);
	start(OTHER);
	start(UNTRANSLATED);
}

static bool is_done(const char *path)
{
	__u32 *regs = edu_map(plu_at(path));
	bool done = edu_is_done(regs);

	edu_unmap(regs);

	return done;
}

static bool are_done(void *unused)
{
	return is_done(KEPT) && is_done(OTHER) && is_done(UNTRANSLATED);
}

static bool is_bus_master(const char *path)
{
	return plu_is_bus_master(plu_at(path)->bdf);
}

static bool is_translated(const char *path)
{
	char type[32];

	if (plu_read_file(plu_sysfs(plu_at(path), "iommu_group/type"), type, sizeof(type)) <= 0)
		plu_skip("%s: no IOMMU group", path);

	return strcmp(type, "identity\n");
}

/* A group is as it is while a driver has one of its devices. */
static void do_not_translate(const char *path)
{
	struct plu_device *d = plu_at(path);

	if (plu_unbind(d) || plu_write_file(plu_sysfs(d, "iommu_group/type"), "identity\n") ||
	    plu_bind(d, PLU_DRIVER))
		plu_bail("%s: cannot do DMA as if there was no IOMMU", d->bdf);
}

static void kernel_a(void)
{
	int session, memfd;

	plu_find_devices(3);
	do_not_translate(UNTRANSLATED);
	plu_ok(is_translated(KEPT) && is_translated(OTHER) && !is_translated(UNTRANSLATED),
	       "an IOMMU translates the DMA of two devices, and not that of a third");

	memfd = memfd_create("iommu_window", 0);
	if (memfd < 0 || ftruncate(memfd, sizeof(*memory)))
		plu_bail("memfd: %s", strerror(errno));
	map_memory(memfd);
	clear_memory();
	session = plu_session(SESSION);
	if (plu_try_preserve(session, memfd, MEMORY_TOKEN))
		plu_bail("cannot preserve memory");
	plu_preserve(session, plu_at(KEPT));
	plu_preserve(session, plu_at(UNTRANSLATED));
	plu_check("one of the former, and the latter, are outgoing");

	prepare(KEPT, memory->kept);
	prepare(OTHER, memory->other);
	prepare(UNTRANSLATED, memory->untranslated);
	/* What they try is said, here or when the next kernel starts. */
	plu_announce_possible("DMAR: [DMA Write");
	start_all();
	plu_ok(plu_wait_for(are_done, NULL) && !written(memory->kept) && !written(memory->other),
	       "as long as this kernel runs, two of them cannot write to memory");
	plu_ok(written(memory->untranslated) == EDU_LENGTH, "the third can");
	clear_memory();
	plu_ok(is_bus_master(KEPT), "all are bus masters");

	/* In this kernel's last moments, which nobody sees, or in the next one's first. */
	plu_announce("%s: liveupdate: " IS_OFF, plu_at(KEPT)->bdf);
}

static void start_before_jump(void)
{
	plu_find_devices(0);
	start_all();
}

static void kernel_b(void)
{
	int session, memfd;

	plu_take_over();
	plu_check("the devices are incoming");
	plu_ok(!is_bus_master(KEPT) && !is_bus_master(OTHER),
	       "those that the IOMMU translated are no bus masters");
	plu_ok(is_bus_master(UNTRANSLATED), "the other one is");
	plu_ok(!plu_times_said_of(plu_at(UNTRANSLATED), IS_OFF) &&
	       !plu_times_said_of(plu_at(OTHER), IS_OFF),
	       "the kernel names no other than the preserved one");

	session = plu_retrieve_session(SESSION);
	memfd = plu_retrieve_fd(session, MEMORY_TOKEN);
	if (memfd < 0)
		plu_bail("cannot retrieve memory: %s", strerror(-memfd));
	map_memory(memfd);
	plu_ok(!written(memory->kept), "the preserved one has written %u bytes",
	       written(memory->kept));
	plu_ok(!written(memory->other), "the one that is not has written %u bytes",
	       written(memory->other));
	plu_ok(written(memory->untranslated) == EDU_LENGTH,
	       "the one that is not translated has written %u bytes, which is all",
	       written(memory->untranslated));

	plu_retrieve(session, plu_at(KEPT));
	plu_retrieve(session, plu_at(UNTRANSLATED));
	plu_ok(!is_bus_master(KEPT), "the former is none when its driver has it back, either");
	plu_set_bus_master(plu_at(KEPT)->bdf, true);
	plu_finish(session);
	plu_check("the devices are finished");
	plu_ok(is_bus_master(KEPT) && is_bus_master(UNTRANSLATED),
	       "both are bus masters, once the driver has made the former one");
}

static const struct plu_test test = {
	.name = "iommu_window",
	.qemu = topology,
	.stage = {
		{ .run = kernel_a, .plan = 5, .cmdline = CMDLINE,
		  .before_jump = start_before_jump },
		{ .run = kernel_b, .plan = 10, .cmdline = CMDLINE },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
