// SPDX-License-Identifier: GPL-2.0
/*
 * To reset many devices takes as long as to reset one, when the kernel is replaced and when
 * the next one has them: no virtual machine waits for the devices of another one. They are
 * NVMe controllers, whose reset takes 100 ms and more. Three jumps: with one of them, with
 * PLU_RESETS (8 if that isn't set), each behind a port of its own, and with the functions of
 * one slot.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stopwatch.h"
#include "vlu.h"

#define DEVICES		8
#define FUNCTIONS	8

/* On the root bus, ports have what is from this slot on, 8 to each; and that of the last port */
#define FIRST_SLOT	4
#define LAST_PORT	"0000:00/1e.0/"

#define SESSION		"vfio-resets"
#define NOTES		"vfio-resets-notes"

/* Not before any of these was reset, so it is known what takes long. */
#define MIN_NS		100000000ULL

static const struct plu_id nvme[] = {
	{ 0x1b36, 0x0010 },
	{ }
};

static const char * const kinds[] = { "one", "ports", "functions" };

/* Of each jump: how many devices, and what their resets took, in nanoseconds */
static struct {
	struct stopwatch jump;
	struct resets {
		unsigned int devices;
		__u64 jump;
		__u64 back;
	} resets[ARRAY_SIZE(kinds)];
} notes;

static const char *topology(void)
{
	static char arguments[8192];
	const char *wanted = getenv("PLU_RESETS");
	unsigned int devices = wanted ? atoi(wanted) : DEVICES;
	size_t len;

	len = snprintf(arguments, sizeof(arguments), "-icount shift=0,sleep=off");
	for (unsigned int i = 0; i < devices; i++) {
		len += snprintf(arguments + len, sizeof(arguments) - len,
				"\n-device pcie-root-port,multifunction=on,id=rp%u,chassis=%u,addr=%x.%u",
				i, i + 1, FIRST_SLOT + i / 8, i % 8);
		len += snprintf(arguments + len, sizeof(arguments) - len,
				"\n-device nvme,bus=rp%u,serial=%u", i, i);
	}
	len += snprintf(arguments + len, sizeof(arguments) - len,
			"\n-device pcie-root-port,id=last,chassis=99,addr=1e");
	for (unsigned int i = 0; i < FUNCTIONS; i++)
		len += snprintf(arguments + len, sizeof(arguments) - len,
				"\n-device nvme,bus=last,serial=last%u,addr=0.%u,multifunction=on",
				i, i);

	return arguments;
}

static bool has_own_port(const struct plu_device *d)
{
	return strncmp(d->path, LAST_PORT, strlen(LAST_PORT));
}

/* Is it one of those that this jump is about? */
static bool is_meant(const struct plu_device *d, unsigned int jump)
{
	switch (jump) {
	case 0:
		return d == plu.dev;
	case 1:
		return has_own_port(d);
	default:
		return !has_own_port(d);
	}
}

static void preserve(unsigned int jump)
{
	struct iommu *iommu = iommu_init("iommufd");
	int session = plu_session(SESSION);

	for (struct plu_device *d = plu.dev; d < plu_end(); d++) {
		if (!is_meant(d, jump))
			continue;
		vlu_bind(d);
		vlu_open(d, iommu);
		plu_preserve(session, d);
		notes.resets[jump].devices++;
	}
	plu_check("%s: devices are outgoing", kinds[jump]);
	stopwatch_load(NOTES, &notes, sizeof(notes));
}

/*
 * The next jump may be about it again, or not: a device that vfio-pci lets sleep is woken when
 * it is shut down, which takes time.
 */
static void give_back(struct plu_device *d, struct vfio_pci_device *v)
{
	vfio_pci_device_cleanup(v);
	d->fd = -1;
	if (plu_driver_override(d->bdf, NULL))
		plu_bail("%s: vfio-pci keeps it", d->bdf);
}

/*
 * From when vfio-pci is loaded, which binds itself to what was handed over, until all files
 * are bound.
 */
static void take_back(unsigned int jump)
{
	struct vfio_pci_device *open[PLU_MAX_DEVICES] = { };
	struct resets *resets = &notes.resets[jump];
	struct iommu *iommu;
	int session;
	__u64 start;

	plu_take_over();
	stopwatch_read(NOTES, &notes, sizeof(notes));
	resets->jump = notes.jump.shut_down - notes.jump.bound_to_happen;
	start = stopwatch_now();
	vlu_load_driver(true);
	session = plu_retrieve_session(SESSION);
	iommu = iommu_init("iommufd");
	for (struct plu_device *d = plu.dev; d < plu_end(); d++)
		if (is_meant(d, jump))
			open[d - plu.dev] = vlu_retrieve(session, d, iommu);
	resets->back = stopwatch_now() - start;
	plu_finish(session);
	for (struct plu_device *d = plu.dev; d < plu_end(); d++)
		if (open[d - plu.dev])
			give_back(d, open[d - plu.dev]);
	plu_say("figure resets.jump.%s.%u %llu", kinds[jump], resets->devices,
		(unsigned long long)resets->jump);
	plu_say("figure resets.back.%s.%u %llu", kinds[jump], resets->devices,
		(unsigned long long)resets->back);
	plu_ok(resets->jump >= MIN_NS && resets->back >= MIN_NS, "%s: they were reset twice",
	       kinds[jump]);
}

static void compare(unsigned int jump)
{
	const struct resets *one = &notes.resets[0], *many = &notes.resets[jump];

	plu_ok(many->jump < 2 * one->jump || !stopwatch_tells(),
	       "%s: %u resets take as long as one at the jump", kinds[jump], many->devices);
	plu_ok(many->back < 2 * one->back || !stopwatch_tells(),
	       "%s: and when they are taken over", kinds[jump]);
}

static void kernel_a(void)
{
	vlu_load_driver(true);
	plu_find_devices(1 + FUNCTIONS);
	preserve(0);
}

static void kernel_b(void)
{
	take_back(0);
	preserve(1);
}

static void kernel_c(void)
{
	take_back(1);
	compare(1);
	preserve(2);
}

static void kernel_d(void)
{
	take_back(2);
	compare(2);
}

/* What the kernel says takes time to be shown. */
#define CMDLINE	VLU_CMDLINE_NO_IOMMU " loglevel=5"

static const struct plu_test test = {
	.name = "vfio_resets",
	.qemu = topology,
	.also = nvme,
	.stage = {
		{ .run = kernel_a, .plan = 1, .cmdline = CMDLINE, .before_jump = stopwatch_start },
		{ .run = kernel_b, .plan = 2, .cmdline = CMDLINE, .before_jump = stopwatch_start },
		{ .run = kernel_c, .plan = 4, .cmdline = CMDLINE, .before_jump = stopwatch_start },
		{ .run = kernel_d, .plan = 3, .cmdline = CMDLINE },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
