// SPDX-License-Identifier: GPL-2.0
/*
 * Files of several devices in several sessions come back independently of each other.
 */

#include <errno.h>
#include <unistd.h>

#include "vlu.h"

static const char *topology(void)
{
	return "-device intel-iommu\n"
		"-device pcie-root-port,id=rp1,chassis=1,addr=4\n"
		"-device edu,bus=rp1\n"
		"-device pcie-root-port,id=rp2,chassis=2,addr=5\n"
		"-device edu,bus=rp2\n"
		"-device pcie-root-port,id=rp3,chassis=3,addr=6\n"
		"-device edu,bus=rp3\n"
		"-device pcie-root-port,id=rp4,chassis=4,addr=7\n"
		"-device edu,bus=rp4";
}

/* The first two are in one session, the third in another, the last is not preserved. */
#define NR_PRESERVED	3
#define OTHER		(&plu.dev[3])
#define FIRST		"vfio-sessions-1"
#define SECOND		"vfio-sessions-2"

static void kernel_a(void)
{
	struct iommu *iommu;
	int first, second;

	vlu_load_driver(false);
	plu_find_devices(4);
	iommu = iommu_init("iommufd");
	for (unsigned int i = 0; i < plu.nr_devices; i++) {
		vlu_bind(&plu.dev[i]);
		vlu_open(&plu.dev[i], iommu);
	}
	first = plu_session(FIRST);
	second = plu_session(SECOND);
	plu_preserve(first, &plu.dev[0]);
	plu_preserve(second, &plu.dev[2]);
	plu_preserve(first, &plu.dev[1]);
	plu_check("three of four devices are outgoing");
	plu_gives(plu_try_preserve(second, plu.dev[0].fd, 0x99), -EBUSY,
		  "none can be preserved twice");
	plu_check("nothing has changed");
}

static void kernel_b(void)
{
	struct iommu *iommu = NULL;
	int first, second, fd;

	vlu_load_driver(false);
	plu_take_over();
	for (unsigned int i = 0; i < plu.nr_devices; i++)
		vlu_bind(&plu.dev[i]);
	plu_check("three devices are incoming");
	fd = vlu_try_open(OTHER);
	plu_ok(fd >= 0, "the other one can be opened");
	close(fd);

	iommu = iommu_init("iommufd");
	second = plu_retrieve_session(SECOND);
	plu_ok(vlu_edu_is_alive(vlu_retrieve(second, &plu.dev[2], iommu), 3), "one works again");
	plu_finish(second);
	plu_check("and is finished");

	first = plu_retrieve_session(FIRST);
	plu_ok(vlu_edu_is_alive(vlu_retrieve(first, &plu.dev[1], iommu), 2), "another works");
	plu_gives(vlu_try_finish(first), -EBUSY,
		  "its session can't be finished without the third one");
	plu_check("which is incoming still");
	plu_ok(vlu_edu_is_alive(vlu_retrieve(first, &plu.dev[0], iommu), 1), "it works as well");
	plu_finish(first);
	plu_check("all are finished");
}

static const struct plu_test test = {
	.name = "vfio_sessions",
	.qemu = topology,
	.stage = {
		{ .run = kernel_a, .plan = 3, .cmdline = VLU_CMDLINE },
		{ .run = kernel_b, .plan = 9, .cmdline = VLU_CMDLINE },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
