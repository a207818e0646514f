/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tests of live update with vfio-pci: a USB controller (UHCI) behind an IOMMU, which writes to
 * memory once in each millisecond, and goes on with it while the kernel is replaced.
 */
#ifndef _SELFTESTS_VFIO_LIVEUPDATE_TRANSLATED_H
#define _SELFTESTS_VFIO_LIVEUPDATE_TRANSLATED_H

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

/* Does it not write any more? */
static inline bool is_silent(void)
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

	plu_ok(to > TRANSLATED_FIRST && to < UHCI_NR_FRAMES && !count_lost(0, to),
	       "it has written to %u, and lost nothing over the jump", to);
}

#endif /* _SELFTESTS_VFIO_LIVEUPDATE_TRANSLATED_H */
