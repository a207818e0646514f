// SPDX-License-Identifier: GPL-2.0
/*
 * VFIO's own selftests, with devices that are not preserved. What does not fit the
 * machine is skipped: pages of 1 GB, and, before QEMU 8.0, which is the first to have an
 * igb, the test of a device that libvfio has a driver for.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vlu.h"

static const char *topology(void)
{
	/* One of them does DMA with a gigabyte. */
	return "-m 3G\n"
		"-device intel-iommu\n"
		"-device pcie-root-port,id=rp1,chassis=1,addr=4\n"
		"-device edu,bus=rp1\n"
		"-device nvme-subsys,id=subsys\n"
		"-device pcie-root-port,id=rp2,chassis=2,addr=5\n"
		"-device nvme,bus=rp2,subsys=subsys,serial=1," PLU_NVME_VFS "\n"
		"-device pcie-root-port,id=rp3,chassis=3,addr=6\n"
		"-device? igb,bus=rp3,romfile=";
}

static const struct plu_id nvme_and_igb[] = {
	{ 0x1b36, 0x0010 },
	{ 0x8086, 0x10c9 },
	{ }
};

#define EDU		(&plu.dev[0])
#define NVME		(&plu.dev[1])
#define IGB		(&plu.dev[2])
#define OUTPUT		"/tmp/vfio-own"
#define EXIT_SKIP	4

static const char * const with_edu[] = {
	"vfio_dma_mapping_test",
	"vfio_dma_mapping_mmio_test",
	"vfio_iommufd_setup_test",
	"vfio_pci_device_test",
	"vfio_pci_device_init_perf_test",
};

/* All of its tests, or one variant of each */
static int run_program(const char *name, const char *variant, const char *bdf)
{
	char path[64];
	int status;
	pid_t pid;

	snprintf(path, sizeof(path), "/tests/vfio/%s", name);
	pid = fork();
	if (pid < 0)
		plu_bail("fork: %s", strerror(errno));
	if (!pid) {
		int fd = open(OUTPUT, O_WRONLY | O_CREAT | O_TRUNC, 0600);

		if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
			exit(EXIT_FAILURE);
		if (variant)
			execl(path, name, "-v", variant, bdf, NULL);
		else
			execl(path, name, bdf, NULL);
		perror(path);
		exit(EXIT_FAILURE);
	}
	if (waitpid(pid, &status, 0) != pid)
		plu_bail("waitpid: %s", strerror(errno));

	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* All of what it said if it failed, or only what it skipped. */
static void tell(bool all)
{
	char line[512];
	FILE *file = fopen(OUTPUT, "r");

	if (!file)
		plu_bail("%s: %s", OUTPUT, strerror(errno));
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (all || strstr(line, "SKIP") || strstr(line, "Totals:"))
			plu_say("%s", line);
	}
	fclose(file);
}

static void run_one(const char *name, const char *bdf)
{
	int code = run_program(name, NULL, bdf);

	tell(code);
	plu_ok(!code, "%s", name);
}

/* It clears a gigabyte each time, so only with iommufd itself, not with what looks like it. */
static void run_driver_test(void)
{
	const char *name = "vfio_pci_driver_test";
	bool has_igb = plu.nr_devices > 2;
	int code = run_program(name, "iommufd", has_igb ? IGB->bdf : EDU->bdf);
	int expected = has_igb ? 0 : EXIT_SKIP;

	tell(code != expected);
	plu_ok(code == expected, "%s, %s", name, code == EXIT_SKIP ? "skipped" : "run");
}

static void kernel(void)
{
	vlu_load_driver(false);
	plu_find_devices(2);
	for (unsigned int i = 0; i < plu.nr_devices; i++)
		vlu_bind(&plu.dev[i]);
	for (size_t i = 0; i < ARRAY_SIZE(with_edu); i++)
		run_one(with_edu[i], EDU->bdf);
	/* It has MSI-X. */
	run_one("vfio_pci_device_test", NVME->bdf);
	run_one("vfio_pci_sriov_uapi_test", NVME->bdf);
	plu_check("nothing is preserved");
}

/* In a kernel of its own, for the time that it takes */
static void another_kernel(void)
{
	vlu_load_driver(false);
	plu_find_devices(2);
	plu.handover = "foreign";
	vlu_bind(EDU);
	if (plu.nr_devices > 2)
		vlu_bind(IGB);
	run_driver_test();
	plu_check("nothing was handed over");
}

static const struct plu_test test = {
	.name = "vfio_own",
	.qemu = topology,
	.also = nvme_and_igb,
	.stage = {
		{ .run = kernel, .plan = ARRAY_SIZE(with_edu) + 3,
		  .cmdline = VLU_CMDLINE " hugepages=16" },
		{ .run = another_kernel, .plan = 2, .cmdline = VLU_CMDLINE },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
