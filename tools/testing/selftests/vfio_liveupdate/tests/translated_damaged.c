// SPDX-License-Identifier: GPL-2.0
/*
 * A device goes on with its DMA through an IOMMU, and what the next kernel is told of it is
 * damaged, before each of the jumps in another way. It can't write to memory any more then,
 * which is said, and its user gets it back as one that was stopped.
 */

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <fcntl.h>

#include "translated.h"

#ifdef SCALABLE
#define NAME		"translated_damaged_scalable"
#define IOMMU		",x-scalable-mode=on"
#define CMDLINE		"plu.modules=none intel_iommu=on,sm_on init_on_free=1"
#else
#define NAME		"translated_damaged"
#define IOMMU		""
#define CMDLINE		VLU_CMDLINE_RECORDS
#endif

static struct controller usb = { .bdf = TRANSLATED_BDF, .token = TRANSLATED_TOKEN };

static const char *topology(void)
{
	/* What it has lost does not matter. */
	return "-device intel-iommu" IOMMU "\n"
		"-device ich9-usb-uhci1,addr=6";
}

#define SESSION		NAME
#define UNIT		0xfed90000UL

/* As in include/linux/kho/abi/iommu.h */
struct record {
	__u64 unit;
	__u64 top;
	__u32 segment;
	__u16 requester;
	__u16 domain_id;
	__u8 format;
	__u8 levels;
	__u8 scalable;
	__u8 reserved[5];
};

struct block {
	__u64 next;
	__u64 count;
	struct record record;
};

struct header {
	__u32 version;
	__u32 nr_devices;
	__u64 devices;
};

static void other_unit(struct record *r)
{
	r->unit += 0x1000;
}

/* Another that is preserved, and aligned: the one below it. */
static void other_table(struct record *r)
{
	__u64 entries[512];

	plu_read_memory(r->top, entries, sizeof(entries));
	for (unsigned int i = 0; i < ARRAY_SIZE(entries); i++)
		if (entries[i] & 3)
			r->top = entries[i] & 0xffffffffff000;
}

static void no_page(struct record *r)
{
	r->top += 8;
}

/* Where the new kernel may have something of its own. */
static void free_memory(struct record *r)
{
	r->top = 0x1000000;
}

static void beyond_memory(struct record *r)
{
	r->top = 1ULL << 50;
}

static void other_segment(struct record *r)
{
	r->segment = 1;
}

static void other_requester(struct record *r)
{
	r->requester = 0x18;
}

static void reserved_domain_id(struct record *r)
{
	r->domain_id = 0;
}

static void free_domain_id(struct record *r)
{
	r->domain_id += 100;
}

static void other_format(struct record *r)
{
	r->format = 9;
}

static void no_levels(struct record *r)
{
	r->levels = 0;
}

static void five_levels(struct record *r)
{
	r->levels = 5;
}

static void other_mode(struct record *r)
{
	r->scalable ^= 1;
}

static void (* const damages[])(struct record *r) = {
	other_unit, other_table, no_page, free_memory, beyond_memory, other_segment,
	other_requester, reserved_domain_id, free_domain_id, other_format, no_levels,
	five_levels, other_mode,
};

static const char * const names[] = {
	"another IOMMU", "another table", "no page", "memory of nobody", "no memory",
	"another segment", "another device", "a reserved domain ID", "another domain ID",
	"another format", "no levels",
	"too many levels", "another mode",
};

struct search {
	int memory;
	__u64 at;
};

static void look_at_page(__u64 phys, void *arg)
{
	struct search *search = arg;
	struct block block;

	if (pread(search->memory, &block, sizeof(block), phys) == sizeof(block) &&
	    !block.next && block.count == 1 && block.record.unit == UNIT &&
	    block.record.requester == 6 << 3)
		search->at = phys;
}

static void damage(void)
{
	struct search search = { .memory = open("/dev/mem", O_RDONLY) };
	struct block block;

	plu_for_pages_of_unknown_use(look_at_page, &search);
	if (!search.at)
		plu_bail("no record is found in memory");
	plu_read_memory(search.at, &block, sizeof(block));
	damages[plu.stage - 1](&block.record);
	plu_write_memory(search.at, &block, sizeof(block));
	close(search.memory);
}

static unsigned int nr_stages(void)
{
	return ARRAY_SIZE(damages) + 1;
}

static void prepare(void)
{
	int session;

	prepare_controller(&usb, iommu_init("iommufd"));
	session = plu_session(SESSION);
	if (preserve_memory(session, &usb))
		plu_bail("memory can't be preserved");
	plu_preserve(session, controller_device(&usb));
	plu_when_written(damage);
}

static void find(const char *what)
{
	struct vfio_pci_device *v;
	struct iommu *iommu;
	int session;

	vlu_bind(controller_device(&usb));
	session = plu_retrieve_session(SESSION);
	iommu = iommu_init("iommufd");
	retrieve_memory(session, &usb, iommu);
	plu_ok(is_silent(&usb) && has_canary(&usb) && !is_in_state(&usb, "incoming", "restored"),
	       "the record is of %s: it can't write any more", what);
	v = retrieve_controller(session, &usb, iommu);
	plu_ok(vlu_get_origin(v->fd) == VFIO_DEVICE_LIVEUPDATE_NEEDS_IOMMU,
	       "its user is told that it has not gone on");
	plu_gives(vlu_try_finish(session), 0, "and can finish its session");
	vfio_pci_device_cleanup(v);
	iommu_cleanup(iommu);
	close(session);
	controller_device(&usb)->fd = -1;
}

static void run(void)
{
	vlu_load_driver(false);
	expect_faults();
	if (plu.stage == 1) {
		plu_find_devices(1);
	} else {
		plu_take_over();
		find(names[plu.stage - 2]);
	}
	if (plu.stage < nr_stages())
		prepare();
	plu_ok(true, "that was stage %u", plu.stage);
}

static void start(void)
{
	start_controller(&usb);
}

static const struct plu_test test = {
	.name = NAME,
	.qemu = topology,
	.also = uhci_ids,
	.stage = {
		{ .run = run, .plan = 1, .cmdline = CMDLINE,
		  .before_jump = start },
		{ .run = run, .plan = 4, .cmdline = CMDLINE,
		  .before_jump = start },
	},
	.nr_stages = nr_stages,
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
