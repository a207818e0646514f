// SPDX-License-Identifier: GPL-2.0
/*
 * A device keeps running, and the record of its file is damaged, before each of the jumps
 * in another way. Nobody can have it back, and nobody knows which device the record is for:
 * those that no other leads to are stopped, whatever driver they have, before the session can
 * be finished and memory is given back. A device whose record is good runs on.
 */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "vlu.h"

static const char *topology(void)
{
	return vlu_slots(6);
}

/* One jump is with the first three devices, the next one with the others. */
static struct plu_device *used;

#define NR_USED		3
#define DAMAGED		(&used[0])
/* Where two records are for one device, this is it. */
#define NAMED		(&used[1])
#define GOOD		(&used[2])
#define MEMORY_TOKEN	0x3e3
#define CMDLINE		VLU_CMDLINE_NO_IOMMU " init_on_free=1"

static void have_other_version(struct vlu_record *record)
{
	record->version++;
}

static void be_elsewhere(struct vlu_record *record)
{
	record->domain++;
}

static void be_another_device(struct vlu_record *record)
{
	record->device++;
}

static void be_another(struct vlu_record *record)
{
	struct plu_record address;

	plu_set_address(&address, NAMED->bdf);
	record->bdf = address.bdf;
}

/* What it says can't be read, so the record of that one is the only one. */
static void be_another_in_vain(struct vlu_record *record)
{
	be_another(record);
	have_other_version(record);
}

static const struct lie {
	const char *name;
	void (*tell)(struct vlu_record *record);
	int error;
} lies[] = {
	{ "of another version", have_other_version, -EINVAL },
	{ "of a device that is not there", be_elsewhere, -ENODEV },
	{ "of another kind of device", be_another_device, -ENODEV },
	{ "of a device that another is for, too", be_another, -EINVAL },
	{ "of another version, which another is for, too", be_another_in_vain, -EINVAL },
};

static const char *session_of(const struct plu_device *d)
{
	static const char * const names[] = {
		"vfio-unclaimed-damaged", "vfio-unclaimed-named", "vfio-unclaimed-good",
	};

	return names[d - used];
}

static void preserve(struct plu_device *d, struct iommu *iommu)
{
	int session = plu_session(session_of(d));
	struct vfio_pci_device *v;
	struct vlu_memory memory;

	vlu_bind(d);
	v = vlu_open(d, iommu);
	vlu_create_memory(&memory, NULL, 4096, 0);
	vlu_fill(memory.region.vaddr, 1);
	if (vlu_set_feature(v->fd, VFIO_DEVICE_LIVEUPDATE_RUNNING) ||
	    plu_try_preserve(session, memory.fd, MEMORY_TOKEN) ||
	    plu_try_preserve(session, v->fd, d->token))
		plu_bail("%s: can't be preserved", d->bdf);
	vfio_pci_cmd_set(v, PCI_COMMAND_MASTER);
	if (d == DAMAGED)
		plu.note = plu_physical(memory.region.vaddr);
}

static void tell(const struct lie *lie)
{
	struct iommu *iommu = iommu_init("iommufd");

	for (unsigned int i = 0; i < NR_USED; i++)
		preserve(&used[i], iommu);
	vlu_damage(DAMAGED, lie->tell);
}

/* Its record may be the one that tells the truth. */
static void give_up(struct plu_device *d)
{
	int session = plu_retrieve_session(session_of(d));

	plu_gives(plu_retrieve_fd(session, d->token), -EINVAL, "nor can the other's");
	plu_gives(vlu_try_finish(session), 0, "its session can be finished");
	close(session);
}

static void retrieve(struct plu_device *d, struct iommu *iommu)
{
	int session = plu_retrieve_session(session_of(d));
	struct vfio_pci_device *v = vlu_retrieve(session, d, iommu);

	plu_ok(vlu_get_origin(v->fd) == VFIO_DEVICE_LIVEUPDATE_KEPT_RUNNING &&
	       vlu_edu_is_alive(v, 1), "it can be retrieved, as it was");
	plu_gives(vlu_try_finish(session), 0, "and finished");
	close(session);
}

static void find(const struct lie *lie)
{
	bool are_two = lie->tell == be_another;
	struct iommu *iommu = iommu_init("iommufd");
	int session;

	/* One that leaves a device alone until it is opened */
	if (lie->tell == have_other_version &&
	    (plu_load_module("external/vfio_pci_variant", "") ||
	     plu_driver_override(DAMAGED->bdf, "vfio-pci-variant")))
		plu_bail("%s: cannot bind another driver", DAMAGED->bdf);
	session = plu_retrieve_session(session_of(DAMAGED));
	plu_ok(plu_is_bus_master(DAMAGED->bdf), "with a record %s a device runs", lie->name);
	plu_gives(plu_retrieve_fd(session, DAMAGED->token), lie->error,
		  "its file can't be retrieved");
	plu_ok(plu_is_bus_master(DAMAGED->bdf) == (lie->error == -ENODEV),
	       "it is stopped, unless the device of the record may be found yet");
	plu_ok(plu_page_in_use(plu.note), "memory is there");
	plu_gives(vlu_try_finish(session), 0, "its session can be finished");
	close(session);
	plu_ok(!plu_is_bus_master(DAMAGED->bdf), "it is stopped then");
	plu_ok(plu_page_given_back(plu.note), "memory is given back");
	plu_ok(plu_is_bus_master(NAMED->bdf) != are_two, "another runs on, if its record may");
	if (are_two)
		give_up(NAMED);
	else
		retrieve(NAMED, iommu);
	plu_ok(plu_is_bus_master(GOOD->bdf), "a third one runs on all the while");
	retrieve(GOOD, iommu);
}

static unsigned int nr_stages(void)
{
	return ARRAY_SIZE(lies) + 1;
}

static void run(void)
{
	vlu_load_driver(true);
	if (plu.stage == 1) {
		plu_find_devices(2 * NR_USED);
		plu_check("all devices are ordinary ones");
	} else {
		plu_take_over();
		used = plu.dev + plu.stage % 2 * NR_USED;
		find(&lies[plu.stage - 2]);
	}
	if (plu.stage == nr_stages())
		return;
	used = plu.dev + (plu.stage + 1) % 2 * NR_USED;
	tell(&lies[plu.stage - 1]);
}

static const struct plu_test test = {
	.name = "vfio_unclaimed",
	.qemu = topology,
	.stage = {
		{ .run = run, .plan = 1, .cmdline = CMDLINE },
		{ .run = run, .plan = 13, .cmdline = CMDLINE },
	},
	.nr_stages = nr_stages,
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
