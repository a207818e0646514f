/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tests of live update: DMA by a USB controller (UHCI). Its schedule has a transfer
 * descriptor (TD) for each frame, which it marks as done, one each millisecond; that no
 * device answers does not matter.
 */
#ifndef _SELFTESTS_PCI_LIVEUPDATE_UHCI_H
#define _SELFTESTS_PCI_LIVEUPDATE_UHCI_H

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "plu.h"

/* Registers */
#define UHCI_COMMAND	0x0
#define UHCI_RUN	0x1
#define UHCI_FRAME	0x6
#define UHCI_SCHEDULE	0x8

/* What is in memory */
#define UHCI_NR_FRAMES	1024
#define UHCI_FIRST_FRAMES	4	/* that are waited for */
#define UHCI_END	0x1		/* of a list */
#define UHCI_ACTIVE	0x800000
/* Nothing is to be read from address 127, or something that is no token. */
#define UHCI_TOKEN	(0x7ffU << 21 | 0x7f << 8 | 0x69)
#define UHCI_BAD_TOKEN	(0x7ffU << 21 | 0x7f << 8)

struct uhci_schedule {
	__u32 frame[UHCI_NR_FRAMES];
	struct {
		__u32 link;
		__u32 status;
		__u32 token;
		__u32 buffer;
	} td[UHCI_NR_FRAMES];
};

static const struct plu_id uhci_ids[] = {
	{ 0x8086, 0x2934 },
	{ }
};

static inline int uhci_open(const struct plu_device *d)
{
	int fd = open(plu_sysfs(d, "resource4"), O_RDWR);

	if (fd < 0)
		plu_bail("%s: its registers: %s", d->bdf, strerror(errno));

	return fd;
}

static inline void uhci_write(int fd, unsigned int where, unsigned int size, __u32 value)
{
	if (syscall(__NR_pwrite64, fd, &value, size, where) != (long)size)
		plu_bail("cannot write a register of a USB controller: %s",
			 strerror(errno));
}

/* Let all frames be done anew. */
static inline void uhci_arm(struct uhci_schedule *s)
{
	for (unsigned int i = 0; i < UHCI_NR_FRAMES; i++)
		__atomic_store_n(&s->td[i].status, UHCI_ACTIVE, __ATOMIC_RELEASE);
}

/*
 * Once it is started it goes on for ever; or, as the last descriptor is a bad one, ends
 * after a second, so that nothing is done twice. It finds things where address() says.
 */
static inline void uhci_prepare_at(const struct plu_device *d, struct uhci_schedule *s, bool ends,
				   __u32 (*address)(const void *))
{
	int fd = uhci_open(d);

	uhci_arm(s);
	for (unsigned int i = 0; i < UHCI_NR_FRAMES; i++) {
		s->td[i].link = UHCI_END;
		s->td[i].token = !ends || i + 1 < UHCI_NR_FRAMES ? UHCI_TOKEN :
								  UHCI_BAD_TOKEN;
		s->td[i].buffer = 0;
	}
	for (unsigned int i = 0; i < UHCI_NR_FRAMES; i++)
		s->frame[i] = address(&s->td[i]);

	plu_set_bus_master(d->bdf, true);
	uhci_write(fd, UHCI_COMMAND, 2, 0);
	uhci_write(fd, UHCI_FRAME, 2, 0);
	uhci_write(fd, UHCI_SCHEDULE, 4, address(s->frame));
	close(fd);
}

static inline __u32 uhci_physical(const void *p)
{
	return plu_physical(p);
}

/* The same without an IOMMU. */
static inline void uhci_prepare(const struct plu_device *d, struct uhci_schedule *s, bool ends)
{
	uhci_prepare_at(d, s, ends, uhci_physical);
}

static inline void uhci_start(const struct plu_device *d)
{
	int fd = uhci_open(d);

	uhci_write(fd, UHCI_COMMAND, 2, UHCI_RUN);
	close(fd);
}

static inline bool uhci_has_done(const struct uhci_schedule *s, unsigned int frame)
{
	return !(__atomic_load_n(&s->td[frame].status, __ATOMIC_ACQUIRE) & UHCI_ACTIVE);
}

/* How many frames it has done until the first that it has not. */
static inline unsigned int uhci_done_in_row(const struct uhci_schedule *s)
{
	unsigned int n = 0;

	while (n < UHCI_NR_FRAMES - 1 && uhci_has_done(s, n))
		n++;

	return n;
}

static inline unsigned int uhci_done(const struct uhci_schedule *s)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < UHCI_NR_FRAMES - 1; i++)
		n += uhci_has_done(s, i);

	return n;
}

static inline __u32 uhci_read(const struct plu_device *d, unsigned int where)
{
	int fd = uhci_open(d);
	__u32 value = 0;

	if (syscall(__NR_pread64, fd, &value, 2, where) != 2)
		plu_bail("%s: cannot read a register: %s", d->bdf, strerror(errno));
	close(fd);

	return value;
}

static inline bool uhci_has_begun(void *arg)
{
	return uhci_read(arg, UHCI_FRAME) >= UHCI_FIRST_FRAMES;
}

static inline bool uhci_is_over(void *arg)
{
	return !(uhci_read(arg, UHCI_COMMAND) & UHCI_RUN);
}

static inline bool uhci_has_done_all(void *s)
{
	return uhci_done_in_row(s) == UHCI_NR_FRAMES - 1;
}

/*
 * Does it write to memory? Not if it has not when another one, which does, has gone
 * through all of its schedule.
 */
static inline bool uhci_writes(struct uhci_schedule *s, struct uhci_schedule *witness)
{
	uhci_arm(s);
	uhci_arm(witness);
	if (!plu_wait_for(uhci_has_done_all, witness))
		plu_bail("the USB controller that is compared with does not run");

	return uhci_done(s);
}

#endif /* _SELFTESTS_PCI_LIVEUPDATE_UHCI_H */
