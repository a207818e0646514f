/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tests of live update with vfio-pci: what they share. They are built on the tests of
 * PCI Live Update, whose plu.h says how a test works and how to run one by hand, and on
 * the library of VFIO's selftests.
 *
 * The devices are QEMU's edu, which can do DMA, and others that a test asks for.
 */
#ifndef _SELFTESTS_VFIO_LIVEUPDATE_H
#define _SELFTESTS_VFIO_LIVEUPDATE_H

#include <libvfio.h>

#include "edu.h"
#include "plu.h"

/* Of each kernel: the test driver of PCI Live Update is not to bind the devices. */
#define VLU_CMDLINE		"plu.modules=none vfio_pci.enable_sriov=1 intel_iommu=on"
#define VLU_CMDLINE_NO_IOMMU	"plu.modules=none vfio_pci.enable_sriov=1 " \
				"vfio.enable_unsafe_noiommu_mode=1 intel_iommu=off"
/* Where a record is searched for: what was freed is no record any more. */
#define VLU_CMDLINE_RECORDS	VLU_CMDLINE " init_on_free=1"

/* --- vlu_device.c: devices in the hands of vfio-pci -------------------------- */

/* Load vfio-pci and what it needs. */
void vlu_load_driver(bool no_iommu);

/*
 * Or have the kernel load it when it asks for what handles its files, by this program: for
 * that, its main() begins with the second one, which returns if it isn't asked.
 */
void vlu_load_driver_when_asked(void);
void vlu_load_if_asked(int argc, char *argv[]);

/* Unload vfio-pci if it is a module, and load it again. */
void vlu_reload_driver(void);

/* Bind a device to vfio-pci. */
void vlu_bind(struct plu_device *d);

/* Open and bind a device, and map its BARs. */
struct vfio_pci_device *vlu_open(struct plu_device *d, struct iommu *iommu);

/* The same with a file that comes back. */
struct vfio_pci_device *vlu_retrieve(int session, struct plu_device *d, struct iommu *iommu);

/* Open its character device: a file or a negative errno. */
int vlu_try_open(const struct plu_device *d);

/* Open its group, or get a device from it: a file or a negative errno. */
int vlu_try_open_group(const struct plu_device *d);
int vlu_try_get_from_group(int group, const struct plu_device *d);

/* Attach its group to a container: 0 or a negative errno. */
int vlu_try_attach_group(const struct plu_device *d);

/* Attach it to a page table, be it an IOAS's, or to none: 0 or a negative errno. */
int vlu_attach(int fd, __u32 page_table);
int vlu_detach(int fd);

/* The same. */
int vlu_try_finish(int session);
int vlu_probe_feature(int fd);
int vlu_set_feature(int fd, __u32 flags);
/* What was set, or what has become of the device, or a negative errno. */
int vlu_get_feature(int fd);
int vlu_get_origin(int fd);

/* Write to a register in its first BAR, if there is a value, and see what it is, whoever has it. */
__u32 vlu_access(const struct plu_device *d, unsigned int offset, const __u32 *value);

/* --- vlu_memory.c: memory that devices do DMA with --------------------------- */

/* Some pages that can be preserved, mapped for the process and for the devices. */
struct vlu_memory {
	int fd;
	struct dma_region region;
};

void vlu_map_memory(struct vlu_memory *memory, struct iommu *iommu, size_t size, iova_t iova);
void vlu_create_memory(struct vlu_memory *memory, struct iommu *iommu, size_t size, iova_t iova);
void vlu_retrieve_memory(struct vlu_memory *memory, struct iommu *iommu, size_t size, iova_t iova,
			 int session, __u64 token);

/* A pattern that depends on a number, over what a device copies at a time. */
#define VLU_LENGTH	EDU_LENGTH
void vlu_fill(void *page, unsigned int number);
bool vlu_is_filled(const void *page, unsigned int number);

/* --- vlu_edu.c: DMA with edu ------------------------------------------------- */

/* Copy that much to the device, and from there to memory; and was it copied? */
bool vlu_edu_load(struct vfio_pci_device *v, iova_t from);
bool vlu_edu_store(struct vfio_pci_device *v, iova_t to);
/* The latter in two steps, the second one by another process, which does not wait for it. */
void vlu_edu_prepare_store(struct vfio_pci_device *v, iova_t to);
void vlu_edu_start_prepared(const char *bdf);

/* Does it answer? It has a register that gives back the complement of what was written. */
bool vlu_edu_is_alive(struct vfio_pci_device *v, __u32 value);
/* Is it what was written earlier? */
bool vlu_edu_was_alive(struct vfio_pci_device *v, __u32 value);

/* Have it raise an interrupt: does it come? It is INTx, or not. */
bool vlu_edu_interrupts(struct vfio_pci_device *v, int eventfd_fd, bool intx);

/* --- vlu_leave.c: what a user can leave behind ------------------------------- */

/* INTx: with what it signals, or -1; and let it come again. */
void vlu_set_intx(struct vfio_pci_device *v, int eventfd_fd);
void vlu_unmask_intx(struct vfio_pci_device *v);

/* Have a value written to a register, of 32 bits, when it is signalled; or not any more: -1. */
void vlu_set_ioeventfd(struct vfio_pci_device *v, unsigned int bar, unsigned int offset,
		       __u32 value, int eventfd_fd);

/* Signal an eventfd, and wait for one. */
void vlu_signal(int eventfd_fd);
bool vlu_was_signalled(int eventfd_fd);

/* Let VFIO put the device to sleep, or do so by its registers; and back. */
void vlu_set_low_power(struct vfio_pci_device *v, bool low);
void vlu_set_asleep(struct vfio_pci_device *v, const struct plu_device *d, bool asleep);
/* Of a struct plu_device, for plu_wait_for() */
bool vlu_is_asleep(void *d);
bool vlu_is_awake(void *d);

/*
 * Have the config space of devices, "0000:01:00.0,0000:02:00.0", copied to a page just
 * before the next kernel is started; and what is there, of the first device, or the n-th?
 */
void vlu_look_last(const char *bdfs, const void *page);
__u16 vlu_looked(const void *page, unsigned int device, unsigned int offset);
/* Could it raise no interrupts? */
bool vlu_was_silent(const void *page, unsigned int device, const struct plu_device *d);

/* --- vlu_agent.c: who takes devices and memory over, call by call --------------- */

/* What is handed over together, in a session of its own. */
#define VLU_VM_DEVICES	2
#define VLU_VM_PAGES	256
#define VLU_VM_MEMORY_TOKEN	0x3e3

struct vlu_vm {
	char session[16];
	unsigned int number;		/* of the pattern in its memory */
	unsigned int nr_devices;
	struct plu_device *dev[VLU_VM_DEVICES];
	bool gone[VLU_VM_DEVICES];	/* it can't be had back */
	int outgoing_session, memory;	/* to hand it over */
};

/* Make, and preserve, its session and memory, with the pattern. */
void vlu_preserve_memory(struct vlu_vm *vm);

/* What agents do, and how many calls that is for so many devices. */
enum vlu_role { VLU_TAKES_OVER, VLU_HANDS_OVER };
unsigned int vlu_nr_calls(enum vlu_role role, unsigned int nr_devices);

/* What one has come to. */
struct vlu_progress {
	const char *doing;		/* the last call that it made */
	int error;			/* of the first that failed */
	bool asked[VLU_VM_DEVICES];	/* for the file of a device, or the memory */
	bool asked_for_memory;
	bool has_finished;
};

/* Was everything asked for, so that nobody need ask again? */
bool vlu_asked_for_all(const struct vlu_vm *vm, const struct vlu_progress *progress);

/*
 * Start an agent, a process that makes so many of the calls, one after the other, and then
 * waits. False if one of them failed, or does not end.
 */
bool vlu_start_agent(enum vlu_role role, const struct vlu_vm *vm, unsigned int nr_calls,
		     const struct vlu_progress **progress);
/* Kill it; or have it make all other calls, whatever comes of them, and end. In time? */
bool vlu_kill_agent(void);
bool vlu_dismiss_agent(void);

/* Is something done, by a process of its own, within some seconds, and well? */
int vlu_begin(bool (*something)(void *arg), void *arg);
bool vlu_ends(const char *what, int pid);
bool vlu_does(const char *what, bool (*something)(void *arg), void *arg);

/* --- vlu_slots.c: many devices, each in a slot of its own ----------------------- */

/* For QEMU's command line: so many edu. plu.dev[i] is the one in slot i + 1. */
const char *vlu_slots(unsigned int nr);
/* Find them, with those plugged in again that are not there. */
void vlu_find_all(unsigned int nr);

/* What an administrator does to a device. They give 0 or a negative errno. */
int vlu_unbind(const struct plu_device *d);
int vlu_remove(const struct plu_device *d);
int vlu_switch_off(const struct plu_device *d);
int vlu_rescan(const struct plu_device *d);
bool vlu_is_there(const struct plu_device *d);
/* Has vfio-pci been told to let go of it? */
bool vlu_is_leaving(void *d);

/* Have it there again, and bound to vfio-pci, however it has gone. */
bool vlu_bring_back(struct plu_device *d);

/* --- vlu_e1000.c: was a device reset? ---------------------------------------- */

/* Its vendor and device */
#define VLU_E1000	{ 0x8086, 0x100e }

/* Write something that is 0 after a reset, and see what it is, whoever has the device. */
void vlu_e1000_write(const struct plu_device *d, __u32 entry);
__u32 vlu_e1000_read(const struct plu_device *d);

/* --- vlu_record.c: the record of a file, in memory --------------------------- */

/* As in include/linux/kho/abi/vfio_pci.h */
struct vlu_record {
	__u32 version;
	__u32 flags;
	__u32 domain;
	__u16 bdf;
	__u16 vendor;
	__u16 device;
	__u16 reserved;
};

/*
 * Of a device that is preserved: its physical address; and change it there.
 * The kernel is to have been booted with VLU_CMDLINE_RECORDS.
 */
__u64 vlu_find_record(const struct plu_device *d);
void vlu_damage(const struct plu_device *d, void (*change)(struct vlu_record *record));

#endif /* _SELFTESTS_VFIO_LIVEUPDATE_H */
