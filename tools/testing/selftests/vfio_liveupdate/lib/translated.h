/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tests of live update with vfio-pci: a USB controller (UHCI) behind an IOMMU, which writes to
 * memory once in each millisecond, and goes on with it while the kernel is replaced.
 */
#ifndef _SELFTESTS_VFIO_LIVEUPDATE_TRANSLATED_H
#define _SELFTESTS_VFIO_LIVEUPDATE_TRANSLATED_H

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "uhci.h"
#include "vlu.h"

/* For QEMU: instructions are time, so that none is lost while something else runs. */
#define TRANSLATED_QEMU(iommu, more) \
	"-icount shift=0,sleep=off\n" \
	"-device intel-iommu" iommu "\n" \
	"-device ich9-usb-uhci1,addr=6" more

#define TRANSLATED_BDF		"0000:00:06.0"
#define TRANSLATED_TOKEN	0x3e3
#define TRANSLATED_IOVA		0x60000000UL
#define TRANSLATED_SIZE		(sizeof(struct uhci_schedule) / 4096 * 4096 + 4096)

/* Its frames have numbers of 11 bits. */
#define TRANSLATED_NUMBERS	(2 * UHCI_NR_FRAMES)
/* That many are few enough that it has not come round. */
#define TRANSLATED_FIRST	20

static struct vlu_memory memory;
static struct uhci_schedule *schedule;

static inline struct plu_device *usb_controller(void)
{
	for (struct plu_device *d = plu.dev; d < plu_end(); d++)
		if (!strcmp(d->bdf, TRANSLATED_BDF))
			return d;
	plu_bail("there is no USB controller");
}

static inline __u32 iova_of(const void *p)
{
	return TRANSLATED_IOVA + (p - memory.region.vaddr);
}

static inline unsigned int frame(void)
{
	return uhci_read(usb_controller(), UHCI_FRAME) % TRANSLATED_NUMBERS;
}

static inline bool is_ahead(void *unused)
{
	return frame() > TRANSLATED_FIRST;
}

/* How many frames it has lost, from one on and before another. */
static inline unsigned int count_lost(unsigned int from, unsigned int to)
{
	unsigned int n = 0;

	for (unsigned int i = from; i != to; i = (i + 1) % TRANSLATED_NUMBERS)
		if (!uhci_has_done(schedule, i % UHCI_NR_FRAMES) && !n++)
			plu_say("the first that was lost is %u", i);

	return n;
}

/* Does it go on from here, without losing any? */
static inline void goes_on(const char *what)
{
	unsigned int from, to;

	uhci_arm(schedule);
	from = frame() + 1;
	usleep(200000);
	to = frame();
	plu_ok(to != from && !count_lost(from, to), "%s: it writes from %u to %u", what, from, to);
}

static inline bool have_passed(void *from)
{
	return (frame() - *(unsigned int *)from) % TRANSLATED_NUMBERS > TRANSLATED_FIRST;
}

/* Does it not write any more, though its frames go on? */
static inline bool is_silent(void)
{
	unsigned int from = frame();

	uhci_arm(schedule);
	if (!plu_wait_for(have_passed, &from))
		plu_bail("its frames do not go on");

	return !uhci_done(schedule);
}

/*
 * Does it not write any more, when its frames can't be seen, or do not go on? With
 * TRANSLATED_QEMU they would be as many as milliseconds.
 */
static inline bool is_stopped(void)
{
	uhci_arm(schedule);
	usleep(50000);

	return !uhci_done(schedule);
}

/* Have it in the hands of vfio-pci, with memory mapped for it, and ready to be started. */
static inline struct vfio_pci_device *prepare_controller(struct iommu *iommu)
{
	struct vfio_pci_device *v;

	vlu_bind(usb_controller());
	v = vlu_open(usb_controller(), iommu);
	vlu_create_memory(&memory, iommu, TRANSLATED_SIZE, TRANSLATED_IOVA);
	schedule = memory.region.vaddr;
	uhci_prepare_at(usb_controller(), schedule, false, iova_of);
	if (vlu_set_feature(v->fd, VFIO_DEVICE_LIVEUPDATE_RUNNING))
		plu_bail("it can't keep running");

	return v;
}

/* To be done last, by another process, which knows nothing yet. */
static inline void start_controller(void)
{
	static const struct plu_device device = { .bdf = TRANSLATED_BDF };

	uhci_start(&device);
}

/* Have the memory back, and see what has been written to it since. */
static inline void retrieve_memory(int session, struct iommu *iommu)
{
	vlu_retrieve_memory(&memory, iommu, TRANSLATED_SIZE, TRANSLATED_IOVA, session,
			    TRANSLATED_TOKEN);
	schedule = memory.region.vaddr;
}

static inline void lost_nothing_over_jump(void)
{
	unsigned int to = frame();

	/* It has come round on the way to such a slow kernel: each was written at least once. */
	if (plu_exists("/sys/kernel/debug/kmemleak"))
		to = UHCI_NR_FRAMES - 1;
	plu_ok(to > TRANSLATED_FIRST && to < UHCI_NR_FRAMES && !count_lost(0, to),
	       "it has written to %u, and lost nothing over the jump", to);
}

/* The whole way, from one kernel to the next: so many results each. */
#define WHOLE_WAY_A	4
#define WHOLE_WAY_B	7

static inline void whole_way_a(const char *name)
{
	int session;

	vlu_load_driver(false);
	plu_find_devices(1);
	prepare_controller(iommu_init("iommufd"));
	start_controller();
	plu_ok(plu_wait_for(is_ahead, NULL), "it runs");
	goes_on("translated");
	uhci_prepare_at(usb_controller(), schedule, false, iova_of);

	session = plu_session(name);
	plu_gives(plu_try_preserve(session, memory.fd, TRANSLATED_TOKEN), 0, "memory is preserved");
	plu_preserve(session, usb_controller());
	plu_check("it is outgoing");
}

static inline void whole_way_b(const char *name)
{
	struct vfio_pci_device *v;
	unsigned int from, to;
	struct iommu *iommu;
	int session;

	vlu_load_driver(false);
	plu_take_over();
	vlu_bind(usb_controller());
	session = plu_retrieve_session(name);
	iommu = iommu_init("iommufd");
	retrieve_memory(session, iommu);
	lost_nothing_over_jump();
	goes_on("before it is retrieved");

	plu_gives(vlu_try_finish(session), -EBUSY, "its session can't be finished");
	uhci_arm(schedule);
	from = frame() + 1;
	v = vlu_retrieve(session, usb_controller(), iommu);
	to = frame();
	/* As the entry is cleared and set, some may be. */
	plu_say("%u of %u lost while it was attached", count_lost(from, to),
		(to - from) % TRANSLATED_NUMBERS);
	goes_on("attached to a new page table");
	plu_gives(vlu_try_finish(session), 0, "now it can");
	goes_on("finished");

	iommu_unmap(iommu, &memory.region);
	plu_ok(is_silent(), "the new page table is in force");
	vfio_pci_device_cleanup(v);
}

#endif /* _SELFTESTS_VFIO_LIVEUPDATE_TRANSLATED_H */
