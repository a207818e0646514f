// SPDX-License-Identifier: GPL-2.0
/*
 * Records of files that are damaged, in memory, before the jump. One that can't be read
 * gives no file, and neither do those of a device that is not there, that is another than
 * it was, or that was not handed over. Each session can be finished. When all are, the
 * devices are ordinary ones.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vlu.h"

static const char *topology(void)
{
	return vlu_slots(8);
}

static void have_other_version(struct vlu_record *record)
{
	record->version++;
}

static void have_other_flag(struct vlu_record *record)
{
	record->flags |= 1U << 31;
}

static void use_what_is_reserved(struct vlu_record *record)
{
	record->reserved = 1;
}

static void be_another_device(struct vlu_record *record)
{
	record->device++;
}

static void be_by_another(struct vlu_record *record)
{
	record->vendor++;
}

static void be_elsewhere(struct vlu_record *record)
{
	record->domain++;
}

/* To the last device, which is not preserved */
static void be_ordinary(struct vlu_record *record)
{
	struct plu_record address;

	plu_set_address(&address, plu.dev[plu.nr_devices - 1].bdf);
	record->bdf = address.bdf;
}

static const struct lie {
	const char *name;
	void (*tell)(struct vlu_record *record);
	int error;
} lies[] = {
	{ "of another version", have_other_version, -EINVAL },
	{ "with a flag that is not known", have_other_flag, -EINVAL },
	{ "with something that is reserved", use_what_is_reserved, -EINVAL },
	{ "of another device", be_another_device, -ENODEV },
	{ "of a device by another vendor", be_by_another, -ENODEV },
	{ "of a device that is not there", be_elsewhere, -ENODEV },
	{ "of a device that was not handed over", be_ordinary, -ENODEV },
};

/* In the model, all sessions */
#define FINISHED	1000

static const char *session_name(size_t i)
{
	static char name[32];

	snprintf(name, sizeof(name), "vfio-damaged-%zu", i);

	return name;
}

static void kernel_a(void)
{
	struct iommu *iommu;

	vlu_load_driver(false);
	plu_find_devices(ARRAY_SIZE(lies) + 1);
	iommu = iommu_init("iommufd");
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		vlu_bind(&plu.dev[i]);
		vlu_open(&plu.dev[i], iommu);
		plu_preserve(plu_session(session_name(i)), &plu.dev[i]);
	}
	plu_check("all devices but one are outgoing");
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++)
		vlu_damage(&plu.dev[i], lies[i].tell);
}

static void kernel_b(void)
{
	unsigned int unreadable = 0;
	int session;

	vlu_load_driver(false);
	plu_take_over();
	for (size_t i = 0; i < plu.nr_devices; i++)
		vlu_bind(&plu.dev[i]);
	plu_check("these devices are incoming");
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		session = plu_retrieve_session(session_name(i));
		plu_gives(plu_retrieve_fd(session, plu.dev[i].token), lies[i].error,
			  "a record %s gives no file", lies[i].name);
		unreadable += lies[i].error == -EINVAL;
		plu_ok(plu_times_said("record of a file cannot be read") == unreadable,
		       "the kernel says so if it can't read it");
		plu_gives(vlu_try_open(&plu.dev[i]), -EBUSY, "nobody can open it");
		plu_gives(vlu_try_finish(session), 0, "its session can be finished");
		plu.dev[i].incoming_session = FINISHED;
	}
	plu_set_session_finished(FINISHED);
	plu_check("with the last one, all devices have become ordinary ones");
	plu_ok(vlu_edu_is_alive(vlu_open(&plu.dev[0], iommu_init("iommufd")), 1),
	       "they can be opened");
}

static const struct plu_test test = {
	.name = "vfio_damaged",
	.qemu = topology,
	.stage = {
		{ .run = kernel_a, .plan = 1, .cmdline = VLU_CMDLINE_RECORDS },
		{ .run = kernel_b, .plan = 3 + 4 * ARRAY_SIZE(lies), .cmdline = VLU_CMDLINE },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
