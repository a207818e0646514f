// SPDX-License-Identifier: GPL-2.0
/*
 * What a user of a device has written to its config space is not there for the next one:
 * not when he closes it, nor when it was handed over in between, however its live update
 * ends: by a user who has it back and closes it; by nobody, who closes its session without
 * having used it, or finishes it; or by an administrator, who removes it. That is so for
 * devices that are reset at the jump, which have an IOMMU, and for those that keep running,
 * which have none.
 */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "vlu.h"

static const char *topology(void)
{
	return "-device intel-iommu\n"
		"-device pcie-root-port,id=rp1,chassis=1,addr=4\n"
		"-device virtio-rng-pci,bus=rp1,aer=on\n"
		"-device pcie-root-port,id=rp2,chassis=2,addr=5\n"
		"-device virtio-rng-pci,bus=rp2,aer=on\n"
		"-device pcie-root-port,id=rp3,chassis=3,addr=6\n"
		"-device virtio-rng-pci,bus=rp3,aer=on\n"
		"-device pcie-root-port,id=rp4,chassis=4,addr=7\n"
		"-device virtio-rng-pci,bus=rp4,aer=on";
}

/* Of QEMU's devices, one of those with most registers that can be written to */
static const struct plu_id virtio_rng[] = {
	{ 0x1af4, 0x1044 },
	{ }
};

/* How the live update of each ends. Each is in a session of its own. */
#define USED		(&plu.dev[0])
#define CLOSED		(&plu.dev[1])
#define FINISHED	(&plu.dev[2])
#define REMOVED		(&plu.dev[3])
#define NR_DEVICES	4

static const char *session_of(const struct plu_device *d)
{
	static const char * const names[NR_DEVICES] = {
		"vfio-config-used", "vfio-config-closed", "vfio-config-finished",
		"vfio-config-removed",
	};

	return names[d - plu.dev];
}

#define MEMORY_SESSION	"vfio-config"
#define MEMORY_TOKEN	0x3e3
#define MEMORY_SIZE	4096

/* --- Registers --------------------------------------------------------------- */

enum place { HEADER, EXPRESS, ERRORS };

static const struct reg {
	const char *name;
	enum place place;
	unsigned int offset;
	unsigned int size;
	__u32 mask;		/* what is looked at */
	__u32 value;		/* what a user writes, or its complement if that is there */
	bool may_be_fixed;	/* in a device that is emulated */
} regs[] = {
	{ "command", HEADER, PCI_COMMAND, 2, PCI_COMMAND_SERR | PCI_COMMAND_PARITY,
	  PCI_COMMAND_SERR },
	{ "cache line size", HEADER, PCI_CACHE_LINE_SIZE, 1, 0xff, 0x5a },
	{ "latency timer", HEADER, PCI_LATENCY_TIMER, 1, 0xff, 0xa8, true },
	{ "interrupt line", HEADER, PCI_INTERRUPT_LINE, 1, 0xff, 0x5c },
	{ "device control", EXPRESS, PCI_EXP_DEVCTL, 2,
	  PCI_EXP_DEVCTL_CERE | PCI_EXP_DEVCTL_NFERE | PCI_EXP_DEVCTL_FERE |
	  PCI_EXP_DEVCTL_URRE | PCI_EXP_DEVCTL_RELAX_EN | PCI_EXP_DEVCTL_NOSNOOP_EN,
	  PCI_EXP_DEVCTL_CERE | PCI_EXP_DEVCTL_FERE | PCI_EXP_DEVCTL_NOSNOOP_EN },
	{ "mask of uncorrectable errors", ERRORS, PCI_ERR_UNCOR_MASK, 4,
	  PCI_ERR_UNC_COMP_TIME | PCI_ERR_UNC_UNSUP, PCI_ERR_UNC_COMP_TIME, true },
	{ "severity of uncorrectable errors", ERRORS, PCI_ERR_UNCOR_SEVER, 4,
	  PCI_ERR_UNC_COMP_TIME | PCI_ERR_UNC_UNSUP, PCI_ERR_UNC_COMP_TIME },
	{ "mask of correctable errors", ERRORS, PCI_ERR_COR_MASK, 4,
	  PCI_ERR_COR_BAD_TLP | PCI_ERR_COR_REP_TIMER, PCI_ERR_COR_BAD_TLP },
};

/*
 * As they were before the first user wrote to them, in the device and for this user, and
 * what he has made of them.
 */
static struct registers {
	__u32 real[ARRAY_SIZE(regs)];
	__u32 seen[ARRAY_SIZE(regs)];
	__u32 written[ARRAY_SIZE(regs)];
} *first;

static unsigned int where(const struct plu_device *d, const struct reg *reg)
{
	unsigned int pos = 0;

	if (reg->place == EXPRESS)
		pos = plu_capability(d->bdf, PCI_CAP_ID_EXP);
	if (reg->place == ERRORS)
		pos = plu_ext_capability(d->bdf, PCI_EXT_CAP_ID_ERR);
	if (!pos && reg->place != HEADER)
		plu_bail("%s has no register: %s", d->bdf, reg->name);

	return pos + reg->offset;
}

static __u32 read_real(const struct plu_device *d, const struct reg *reg)
{
	return plu_config_read(d->bdf, where(d, reg), reg->size);
}

static __u32 read_seen(const struct plu_device *d, struct vfio_pci_device *v,
		       const struct reg *reg)
{
	__u32 value = 0;

	vfio_pci_config_access(v, false, where(d, reg), reg->size, &value);

	return value;
}

/*
 * A device that a user has closed is what it was before. One that nobody took back is
 * reset, which may not be the same.
 */
enum rule { AS_BEFORE, NOT_AS_WRITTEN };

static bool obeys(const struct plu_device *d, size_t i, enum rule rule, const char *place,
		  __u32 is, __u32 was)
{
	__u32 mask = regs[i].mask, written = first[d - plu.dev].written[i] & mask;

	is &= mask;
	was &= mask;
	/* What is off may be so by a reset. */
	if (is == was || (rule == NOT_AS_WRITTEN && (is != written || !written)))
		return true;
	plu_say("%s: %s is 0x%x %s, was 0x%x, and 0x%x was written", d->bdf, regs[i].name, is,
		place, was, written);

	return false;
}

static void note_real(const struct plu_device *d)
{
	for (size_t i = 0; i < ARRAY_SIZE(regs); i++)
		first[d - plu.dev].real[i] = read_real(d, &regs[i]);
}

static void note_seen(const struct plu_device *d, struct vfio_pci_device *v)
{
	for (size_t i = 0; i < ARRAY_SIZE(regs); i++)
		first[d - plu.dev].seen[i] = read_seen(d, v, &regs[i]);
}

/* Is nothing there of what users wrote, when the device is closed? */
static bool is_clean(const struct plu_device *d, enum rule rule)
{
	bool ok = true;

	for (size_t i = 0; i < ARRAY_SIZE(regs); i++)
		ok &= obeys(d, i, rule, "in the device", read_real(d, &regs[i]),
			    first[d - plu.dev].real[i]);

	return ok;
}

/* Nor for who has opened it? */
static bool is_clean_for(const struct plu_device *d, struct vfio_pci_device *v, enum rule rule)
{
	bool ok = true;

	for (size_t i = 0; i < ARRAY_SIZE(regs); i++)
		ok &= obeys(d, i, rule, "for its user", read_seen(d, v, &regs[i]),
			    first[d - plu.dev].seen[i]);

	return ok;
}

/* Change all of them. Does the user see each changed, in one bit at least? */
static bool scribble(const struct plu_device *d, struct vfio_pci_device *v)
{
	bool ok = true;

	for (size_t i = 0; i < ARRAY_SIZE(regs); i++) {
		const struct reg *reg = &regs[i];
		__u32 was = first[d - plu.dev].seen[i], value = reg->value, written;

		if ((was & reg->mask) == value)
			value = ~value & reg->mask;
		value |= was & ~reg->mask;
		vfio_pci_config_access(v, true, where(d, reg), reg->size, &value);
		written = read_seen(d, v, reg);
		first[d - plu.dev].written[i] = written;
		if (reg->may_be_fixed || (written ^ was) & reg->mask)
			continue;
		plu_say("%s: %s cannot be changed", d->bdf, reg->name);
		ok = false;
	}

	return ok;
}

/* --- The old kernel ---------------------------------------------------------- */

static struct iommu *iommu;
static bool keeps_running;

static struct vfio_pci_device *open_device(struct plu_device *d)
{
	return vlu_open(d, iommu);
}

static void close_device(struct plu_device *d, struct vfio_pci_device *v)
{
	vfio_pci_device_cleanup(v);
	d->fd = -1;
}

static bool use_and_close(struct plu_device *d)
{
	struct vfio_pci_device *v;
	bool ok;

	note_real(d);
	v = open_device(d);
	note_seen(d, v);
	ok = scribble(d, v);
	close_device(d, v);

	return ok;
}

static bool use_and_preserve(struct plu_device *d)
{
	struct vfio_pci_device *v = open_device(d);
	bool ok = is_clean_for(d, v, AS_BEFORE) && scribble(d, v);

	if (keeps_running && vlu_set_feature(v->fd, VFIO_DEVICE_LIVEUPDATE_RUNNING))
		plu_bail("%s: cannot keep running", d->bdf);
	plu_preserve(plu_session(session_of(d)), d);

	return ok;
}

static bool for_all(bool (*call)(struct plu_device *d))
{
	bool ok = true;

	for (struct plu_device *d = plu.dev; d < plu_end(); d++)
		ok &= call(d);

	return ok;
}

static bool is_closed_and_clean(struct plu_device *d)
{
	return is_clean(d, AS_BEFORE);
}

static void begin(void)
{
	keeps_running = plu.stage > 2;
	vlu_load_driver(keeps_running);
	if (plu.stage == 1)
		plu_find_devices(NR_DEVICES);
	else
		plu_take_over();
	plu_check("the devices are %s", plu.stage % 2 ? "ordinary" : "incoming");
	iommu = iommu_init("iommufd");
	for (struct plu_device *d = plu.dev; d < plu_end(); d++)
		vlu_bind(d);
}

static void old_kernel(void)
{
	struct vlu_memory memory;

	begin();
	vlu_create_memory(&memory, NULL, MEMORY_SIZE, 0);
	first = memory.region.vaddr;
	plu_gives(plu_try_preserve(plu_session(MEMORY_SESSION), memory.fd, MEMORY_TOKEN), 0,
		  "memory is preserved");
	plu_ok(for_all(use_and_close), "users write to the registers of devices");
	plu_ok(for_all(is_closed_and_clean), "nothing of that is there when they are closed");
	plu_ok(for_all(use_and_preserve), "nor for the next users, who write the same");
	plu_check("the devices are outgoing");
}

/* --- The new kernel ---------------------------------------------------------- */

static bool is_ordinary(void *d)
{
	return !plu_is_incoming(d);
}

/* When its live update has ended: for nobody, and for the next user. */
static void check_clean(struct plu_device *d, enum rule rule, const char *when)
{
	struct vfio_pci_device *v;

	plu_ok(plu_wait_for(is_ordinary, d) && is_clean(d, rule),
	       "nothing that users wrote is in a device %s", when);
	v = open_device(d);
	plu_ok(is_clean_for(d, v, rule), "nor does the next user see any of it");
	close_device(d, v);
}

/* Its file is closed without having been of use to anybody. */
static int retrieve_in_vain(struct plu_device *d)
{
	int session = plu_retrieve_session(session_of(d));

	plu_retrieve(session, d);
	close(d->fd);
	d->fd = -1;

	return session;
}

static void end_closed(void)
{
	plu_close_session(retrieve_in_vain(CLOSED));
	check_clean(CLOSED, NOT_AS_WRITTEN, "whose session was closed");
}

static void end_finished(void)
{
	int session = retrieve_in_vain(FINISHED);

	plu_finish(session);
	close(session);
	check_clean(FINISHED, NOT_AS_WRITTEN, "whose session was finished");
}

static void remove_device(void)
{
	int session = plu_retrieve_session(session_of(REMOVED));

	if (plu_remove(REMOVED))
		plu_bail("%s: cannot be removed", REMOVED->bdf);
	REMOVED->incoming_session = session;
	plu_finish(session);
	/* The bridge above it is there, and finished with it. */
	plu_upstream(REMOVED, 0)->messages[PLU_MSG_FINISHED]++;
	close(session);
}

static void end_used(void)
{
	int session = plu_retrieve_session(session_of(USED));
	struct vfio_pci_device *v = vlu_retrieve(session, USED, iommu);

	plu_ok(scribble(USED, v), "a user has his device back, and writes to its registers");
	plu_finish(session);
	close(session);
	close_device(USED, v);
	check_clean(USED, AS_BEFORE, "that he has closed");
}

static void find_removed(void)
{
	plu_rescan();
	vlu_bind(REMOVED);
	check_clean(REMOVED, NOT_AS_WRITTEN, "that was removed and found again");
}

static void new_kernel(void)
{
	struct vlu_memory memory;
	int session;

	begin();
	session = plu_retrieve_session(MEMORY_SESSION);
	vlu_retrieve_memory(&memory, NULL, MEMORY_SIZE, 0, session, MEMORY_TOKEN);
	first = memory.region.vaddr;
	close(session);
	remove_device();
	end_closed();
	end_finished();
	end_used();
	find_removed();
	plu_check("all are ordinary");
}

static const struct plu_test test = {
	.name = "vfio_config",
	.qemu = topology,
	.also = virtio_rng,
	.stage = {
		{ .run = old_kernel, .plan = 6, .cmdline = VLU_CMDLINE },
		{ .run = new_kernel, .plan = 11, .cmdline = VLU_CMDLINE },
		{ .run = old_kernel, .plan = 6, .cmdline = VLU_CMDLINE_NO_IOMMU },
		{ .run = new_kernel, .plan = 11, .cmdline = VLU_CMDLINE_NO_IOMMU },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
