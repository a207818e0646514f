// SPDX-License-Identifier: GPL-2.0
/*
 * Everything at the same time, on several processors, to a device that is to go on with its
 * DMA through an IOMMU: its file is preserved, and not any more; others map and unmap, attach
 * it to another page table and back, detach it, and try to replace the kernel, which is
 * refused, as not all memory is preserved, or another file can't be frozen. After each round
 * its page table is as debugfs says, to be changed or not; and when all is given up, it works.
 */

#include <errno.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <linux/iommufd.h>

#include <libliveupdate.h>

#include "translated.h"

static struct controller usb = TRANSLATED_CONTROLLER;

static const char *topology(void)
{
	return "-smp 4\n"
		"-device intel-iommu\n"
		"-device ich9-usb-uhci1,addr=6\n"
		"-device pcie-root-port,id=rp1,chassis=1,addr=7\n"
		"-device pci-testdev,bus=rp1";
}

/* Driven by the test driver of PCI Live Update: its file can't be frozen, as it is told. */
#define FAILING		(&plu.dev[1])

#define ROUNDS		3
#define ROUND_TIME	2000	/* ms */
#define OTHER_IOVA	0x10000000UL
#define MOST_PAGES	16

enum { MAP, UNMAP, ATTACH, DETACH, SESSION, PRESERVE, CLOSE, JUMP, NR_CALLS };

static const struct plu_call calls[NR_CALLS] = {
	/* It is preserved; or somebody has mapped there. */
	[MAP] = { "mapping", { EBUSY, EEXIST } },
	[UNMAP] = { "unmapping", { EBUSY, ENOENT } },
	[ATTACH] = { "attaching", { EBUSY } },
	[DETACH] = { "detaching", { EBUSY } },
	/* One process at a time. */
	[SESSION] = { "making a session", { EBUSY } },
	/* Preserved already, it is not attached just then, or something is being mapped. */
	[PRESERVE] = { "preserving its file", { EBUSY, EEXIST, EOPNOTSUPP } },
	[CLOSE] = { "closing a session", { } },
	/* What it can reach is not preserved, or another file can't be frozen. */
	[JUMP] = { "jumping", { EBUSY, EIO } },
};

#define CALL(what, call) ({				\
	const unsigned int __what = (what);		\
							\
	plu_about_to(__what);				\
	plu_call(__what, (call));			\
})

static struct iommu *iommu;
static __u32 other_ioas;
static int file;

static int result(int ret)
{
	return ret < 0 ? -errno : 0;
}

static void map_and_unmap(void)
{
	/* What is left of it, as it was preserved, outlives the worker. */
	struct iommu_ioas_map_file map = {
		.size = sizeof(map),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
			 IOMMU_IOAS_MAP_WRITEABLE,
		.ioas_id = iommu->ioas_id,
		.fd = file,
		.length = (1 + plu_random(MOST_PAGES)) * TRANSLATED_PAGE,
		.iova = OTHER_IOVA + plu_random(4) * (1UL << 21),
	};
	struct iommu_ioas_unmap unmap = {
		.size = sizeof(unmap),
		.ioas_id = map.ioas_id,
		.iova = map.iova,
		.length = map.length,
	};

	if (!CALL(MAP, result(ioctl(iommu->iommufd, IOMMU_IOAS_MAP_FILE, &map))))
		CALL(UNMAP, result(ioctl(iommu->iommufd, IOMMU_IOAS_UNMAP, &unmap)));
}

static void attach(void)
{
	int fd = controller_device(&usb)->fd;

	if (!plu_random(4))
		CALL(DETACH, vlu_detach(fd));
	CALL(ATTACH, vlu_attach(fd, plu_random(4) ? iommu->ioas_id : other_ioas));
}

static int own_session = -1;

static int make_session(void)
{
	static unsigned int number;
	int luo, session;
	char name[32];

	plu_about_to(SESSION);
	luo = luo_open_device();
	if (luo < 0)
		return plu_call(SESSION, -errno);
	snprintf(name, sizeof(name), "races-%d-%u", getpid(), number++);
	session = plu_call(SESSION, luo_create_session(luo, name));
	close(luo);

	return session;
}

static void preserve(void)
{
	if (own_session < 0)
		own_session = make_session();
	if (own_session >= 0)
		CALL(PRESERVE, plu_try_preserve(own_session, controller_device(&usb)->fd, 1));
}

static void preserve_and_close(void)
{
	preserve();
	if (own_session >= 0 && plu_random(4)) {
		CALL(CLOSE, result(close(own_session)));
		own_session = -1;
	}
}

static void jump(void)
{
	CALL(JUMP, plu_reboot());
}

static const struct plu_job jobs[] = {
	{ "that preserves", preserve_and_close, preserve },
	{ "that preserves, too", preserve_and_close, preserve },
	{ "that maps", map_and_unmap },
	{ "that maps, too", map_and_unmap },
	{ "that attaches", attach },
	{ "that jumps", jump },
};

/* How often was it preserved when everybody rested, and how often not? */
static unsigned int times[2];

static bool is_as_it_says(void)
{
	bool preserved = is_in_state(&usb, "outgoing", "preserved");
	int fd = controller_device(&usb)->fd;

	int detached, attached;

	times[preserved]++;
	detached = vlu_detach(fd);
	attached = vlu_attach(fd, iommu->ioas_id);
	plu_say("it is %s: %d %d", preserved ? "preserved" : "not preserved", detached, attached);

	return preserved ? detached == -EBUSY && attached == -EBUSY : !attached;
}

static __u32 new_ioas(void)
{
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };

	if (ioctl(iommu->iommufd, IOMMU_IOAS_ALLOC, &alloc))
		plu_bail("no IOAS: %s", strerror(errno));

	return alloc.out_ioas_id;
}

static void kernel_a(void)
{
	__u64 seed = plu_seed();
	struct plu_device *d;
	int failing;

	vlu_load_driver(false);
	plu_find_devices(2);
	d = controller_device(&usb);
	iommu = iommu_init("iommufd");
	prepare_controller(&usb, iommu);
	other_ioas = new_ioas();
	file = memfd_create("pages", 0);
	if (file < 0 || ftruncate(file, MOST_PAGES * TRANSLATED_PAGE))
		plu_bail("no memory: %s", strerror(errno));
	if (plu_load_module(PLU_DRIVER, "") || !plu_exists(plu_sysfs(FAILING, "driver")))
		plu_bail("the test driver has no device");
	FAILING->driver = PLU_DRIVER;
	failing = plu_session("failing");
	plu_preserve(failing, FAILING);
	if (plu_command(FAILING, "fail freeze"))
		plu_bail("the driver does not know how to fail");

	expect_faults();
	plu_say("seed 0x%llx", (unsigned long long)seed);
	plu_seed_random(seed);
	plu_set_calls(calls, NR_CALLS);
	for (unsigned int i = 0; i < ROUNDS; i++)
		plu_ok(plu_work(jobs, ARRAY_SIZE(jobs), ROUND_TIME, seed + i, is_as_it_says),
		       "round %u: all works", i + 1);
	plu_gives(plu_show_calls(), 0, "nothing was refused that should not be");
	plu_say("it rested %u times when it was preserved, %u times when not", times[true], times[false]);
	plu_ok(plu_times_done(PRESERVE) && plu_times_done(MAP) && plu_times_done(UNMAP) &&
	       plu_times_done(ATTACH) && plu_times_done(DETACH) && times[true],
	       "and all was done");

	plu_skip_log();
	plu_close_session(failing);
	plu_ok(is_in_state(&usb, "outgoing", ""), "it is not preserved any more");
	vlu_detach(d->fd);
	plu_gives(vlu_attach(d->fd, iommu->ioas_id), 0, "it can be attached");
	prepare_again(&usb);
	start_controller(&usb);
	plu_ok(plu_wait_for(is_ahead, &usb) && uhci_done(usb.schedule), "it works");
}

/* Without another stage there would be no kernel to jump to. */
static void begin_anew(void)
{
	plu_find_devices(2);
	plu.handover = "foreign";
	plu_check("nothing is handed over");
}

static const struct plu_test test = {
	.name = "translated_races",
	.qemu = topology,
	.also = uhci_ids,
	.stage = {
		{ .run = kernel_a, .plan = ROUNDS + 5, .cmdline = VLU_CMDLINE " loglevel=5" },
		{ .run = begin_anew, .plan = 1, .cmdline = VLU_CMDLINE },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
