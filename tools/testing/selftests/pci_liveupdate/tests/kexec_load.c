// SPDX-License-Identifier: GPL-2.0
/*
 * Load the next kernel, or jump into the one that is loaded:
 *
 *	kexec_load KERNEL INITRD COMMAND_LINE
 *	kexec_load -e
 *
 * kexec-tools does the same, and more; the initramfs of the tests has room for this.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/reboot.h>

static int fail(const char *what)
{
	fprintf(stderr, "kexec_load: %s: %s\n", what, strerror(errno));

	return EXIT_FAILURE;
}

int main(int argc, char *argv[])
{
	int kernel, initrd;

	if (argc == 2 && !strcmp(argv[1], "-e")) {
		syscall(__NR_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
			LINUX_REBOOT_CMD_KEXEC, NULL);
		return fail("reboot");
	}

	if (argc != 4) {
		fprintf(stderr, "usage: kexec_load KERNEL INITRD COMMAND_LINE\n"
				"       kexec_load -e\n");
		return EXIT_FAILURE;
	}

	kernel = open(argv[1], O_RDONLY);
	if (kernel < 0)
		return fail(argv[1]);
	initrd = open(argv[2], O_RDONLY);
	if (initrd < 0)
		return fail(argv[2]);
	if (syscall(__NR_kexec_file_load, kernel, initrd, strlen(argv[3]) + 1,
		    argv[3], 0))
		return fail("kexec_file_load");

	return EXIT_SUCCESS;
}
