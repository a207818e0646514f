// SPDX-License-Identifier: GPL-2.0
/*
 * The program that the documentation has as an example, vfio_vmm.c, does what it says.
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
	return "-device intel-iommu\n"
		"-device pcie-root-port,id=rp1,chassis=1,addr=4\n"
		"-device edu,bus=rp1";
}

#define DEVICE	(&plu.dev[0])
#define PROGRAM	"/tests/vfio_vmm"

static pid_t start(const char *what, const char *file)
{
	pid_t pid = fork();

	if (pid < 0)
		plu_bail("fork: %s", strerror(errno));
	if (!pid) {
		/* Who runs the test waits for the end of its output. */
		int log = open("/dev/kmsg", O_WRONLY);

		dup2(log, STDOUT_FILENO);
		dup2(log, STDERR_FILENO);
		execl(PROGRAM, PROGRAM, what, file, NULL);
		exit(EXIT_FAILURE);
	}

	return pid;
}

static bool is_outgoing(void *d)
{
	return !strcmp(plu_status("outgoing"), "2");
}

static void hand_over(const char *how)
{
	char *path = (char *)vfio_pci_get_cdev_path(DEVICE->bdf);

	start(how, path);
	plu_ok(plu_wait_for(is_outgoing, NULL), "the program preserves a device");
	plu_set_outgoing(DEVICE, true);
	plu.nr_outgoing_files++;
	plu_check("which is outgoing, with the port above it");
	free(path);
}

static void kernel_a(void)
{
	vlu_load_driver(false);
	plu_find_devices(1);
	vlu_bind(DEVICE);
	hand_over("preserve");
}

static void take_back(void)
{
	int status;
	pid_t pid;

	vlu_load_driver(false);
	plu_take_over();
	vlu_bind(DEVICE);
	plu_check("the device is incoming");
	pid = start("retrieve", NULL);
	plu_ok(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && !WEXITSTATUS(status),
	       "the program retrieves and finishes it");
	plu_ok(!plu_is_incoming(DEVICE) && !strcmp(plu_status("handover"), "finished"),
	       "it is an ordinary device");
}

static bool was_translated(void)
{
	char line[64];

	snprintf(line, sizeof(line), "%s of the IOMMU", DEVICE->bdf);
	plu_read_log();

	return plu_times_said(line);
}

static void kernel_b(void)
{
	take_back();
	plu_ok(!was_translated(), "it was stopped meanwhile");
	plu_set_finished(DEVICE);
	plu.nr_incoming_files = 0;
	plu.handover = "finished";
	hand_over("preserve-running");
}

static void kernel_c(void)
{
	take_back();
	plu_ok(was_translated(), "its DMA went on meanwhile");
}

static const struct plu_test test = {
	.name = "vfio_example",
	.qemu = topology,
	.stage = {
		{ .run = kernel_a, .plan = 2, .cmdline = VLU_CMDLINE },
		{ .run = kernel_b, .plan = 6, .cmdline = VLU_CMDLINE },
		{ .run = kernel_c, .plan = 4, .cmdline = VLU_CMDLINE },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
