/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tests of live update: DMA by QEMU's educational device. It copies between memory and a
 * buffer of its own, of a page, 100 ms after it was told to.
 */
#ifndef _SELFTESTS_PCI_LIVEUPDATE_EDU_H
#define _SELFTESTS_PCI_LIVEUPDATE_EDU_H

/* Registers, in its first BAR */
#define EDU_LIVENESS	0x04	/* the complement of what was written */
#define EDU_RAISED	0x24	/* interrupts */
#define EDU_RAISE	0x60
#define EDU_ACKNOWLEDGE	0x64
#define EDU_SOURCE	0x80
#define EDU_DESTINATION	0x88
#define EDU_COUNT	0x90
#define EDU_COMMAND	0x98

/* Commands; EDU_START stands until it is done */
#define EDU_START	0x1
#define EDU_TO_MEMORY	0x2
#define EDU_INTERRUPT	0x4	/* when it is done */

/* Where it sees its buffer */
#define EDU_BUFFER	0x40000
/* What is copied, in bytes: it does not like to be told to use all of its buffer. */
#define EDU_LENGTH	2048

#endif /* _SELFTESTS_PCI_LIVEUPDATE_EDU_H */
