/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tests of live update with vfio-pci: USB controllers (UHCI) behind an IOMMU, which write to
 * memory once in each millisecond, and go on with it while the kernel is replaced.
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

/* Its frames have numbers of 11 bits. */
#define TRANSLATED_NUMBERS	(2 * UHCI_NR_FRAMES)
/* That many are few enough that it has not come round. */
#define TRANSLATED_FIRST	20

/* The last of them is not its own. */
#define TRANSLATED_PAGE		4096
#define TRANSLATED_PAGES	(sizeof(struct uhci_schedule) / TRANSLATED_PAGE + 1)
#define TRANSLATED_SIZE		(TRANSLATED_PAGES * TRANSLATED_PAGE)

struct controller {
	const char *bdf;
	__u64 token;		/* of its memory, and the next one of the canary */
	iova_t iova;		/* or 0: where the canary is in memory */

	struct vlu_memory memory;
	struct uhci_schedule *schedule;
	struct dma_region page[TRANSLATED_PAGES];
	/*
	 * What it would find if its addresses were not translated: the same in another
	 * place. It would write there.
	 */
	struct vlu_memory canary;
};

/* Most tests have this one. */
#define TRANSLATED_CONTROLLER { \
	.bdf = TRANSLATED_BDF, \
	.token = TRANSLATED_TOKEN, \
	.iova = TRANSLATED_IOVA, \
}

struct plu_device *controller_device(const struct controller *c);

/*
 * Have it in the hands of vfio-pci, with memory mapped for it, ready to be started, and to
 * keep running if it is preserved. And let it begin with the first frame again.
 */
struct vfio_pci_device *prepare_controller(struct controller *c, struct iommu *iommu);
void prepare_again(struct controller *c);
/* Start it, be it in another process, which knows nothing yet. */
void start_controller(const struct controller *c);

/* Its memory: 0 or a negative errno; and back from the session, mapped for another IOMMU. */
int preserve_memory(int session, struct controller *c);
void retrieve_memory(int session, struct controller *c, struct iommu *iommu);
/* Have it back, attached to the page table of another IOMMU, where its memory is mapped. */
struct vfio_pci_device *retrieve_controller(int session, struct controller *c,
					    struct iommu *iommu);
/* Can it do without, which was mapped there? */
void unmap_memory(struct controller *c, struct iommu *iommu);

unsigned int frame(const struct controller *c);
/* For plu_wait_for(): has it begun? */
bool is_ahead(void *c);
/* How many frames it has lost, from one on and before another. */
unsigned int count_lost(const struct controller *c, unsigned int from, unsigned int to);

/* Is the canary as it was? */
bool has_canary(const struct controller *c);

/* Does it not write any more, though its frames go on? */
bool is_silent(const struct controller *c);
/*
 * Does it not write any more, when its frames can't be seen, or do not go on? With
 * TRANSLATED_QEMU they would be as many as milliseconds.
 */
bool is_stopped(const struct controller *c);

/* One result: does it go on from here, without losing any, and with nothing else? */
void goes_on(struct controller *c, const char *what);
/* One result: it was started last of all in the previous kernel, and here it is. */
void lost_nothing_over_jump(struct controller *c);
/* One result: the same, but it was not started: that frame was its next one. */
void lost_nothing_since(struct controller *c, unsigned int from);

/* What debugfs says of it: is it in that file in this state? "": not at all. */
bool is_in_state(const struct controller *c, const char *file, const char *state);

/* The kernel may say that DMA was blocked, as it is to be. */
void expect_faults(void);

/* The whole way, from one kernel to the next: so many results each. */
#define WHOLE_WAY_A	5
#define WHOLE_WAY_B	9
void whole_way_a(struct controller *c, const char *name);
void whole_way_b(struct controller *c, const char *name);

#endif /* _SELFTESTS_VFIO_LIVEUPDATE_TRANSLATED_H */
