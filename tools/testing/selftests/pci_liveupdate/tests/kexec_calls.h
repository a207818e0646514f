/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tests of live update: have a kernel started next that is not the one which init has
 * loaded: the same once more, by kexec_file_load(2), or by kexec_load(2), the older call, by
 * which the kernel hands nothing over. The latter takes memory as it is to be when the
 * kernel is entered, so that all that a boot loader does is to be done here.
 */
#ifndef _SELFTESTS_PCI_LIVEUPDATE_KEXEC_CALLS_H
#define _SELFTESTS_PCI_LIVEUPDATE_KEXEC_CALLS_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/kexec.h>

#include "plu.h"

/* Where init has them, or had, and how it makes the latter. */
#define NEXT_KERNEL	"/boot/bzImage"
#define NEXT_INITRD	"/tmp/initrd"
#define BUSYBOX		"/bin/busybox"
#define MAKE_INITRD	"cd /root && " BUSYBOX " find . -xdev | " \
			BUSYBOX " cpio -o -H newc >" NEXT_INITRD " 2>/dev/null"

static inline void make_next_initrd(void)
{
	static const char * const argv[] = { "sh", "-c", MAKE_INITRD, NULL };
	int status, pid = fork();

	if (pid < 0)
		plu_bail("fork: %s", strerror(errno));
	if (!pid) {
		execve(BUSYBOX, (char **)argv, environ);
		exit(EXIT_FAILURE);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		plu_skip("cannot make " NEXT_INITRD);
}

/* What this kernel was told, without what is for this stage only. */
static inline const char *next_command_line(void)
{
	static const char stage[] = "plu.stage=", extra[] = "plu.extra";
	static char is[2048], next[2048];
	size_t len = 0, word_len;

	if (plu_read_file("/proc/cmdline", is, sizeof(is)) < 0)
		plu_bail("/proc/cmdline: cannot read it");
	is[plu_until(is, '\n')] = '\0';
	for (char *word = is; *word; word += word_len + !!word[word_len]) {
		word_len = plu_until(word, ' ');
		if (!strncmp(word, extra, strlen(extra)))
			break;
		if (!strncmp(word, stage, strlen(stage)))
			continue;
		memcpy(next + len, word, word_len);
		len += word_len;
		next[len++] = ' ';
	}
	snprintf(next + len, sizeof(next) - len, "%s%u %s", stage, plu.stage + 1, extra);

	return next;
}

static inline int load_with(const char *command_line, unsigned long flags)
{
	int kernel, initrd, ret;

	make_next_initrd();
	kernel = open(NEXT_KERNEL, O_RDONLY);
	initrd = open(NEXT_INITRD, O_RDONLY);
	if (kernel < 0 || initrd < 0)
		plu_skip("no " NEXT_KERNEL " or no " NEXT_INITRD);
	ret = syscall(__NR_kexec_file_load, kernel, initrd, strlen(command_line) + 1,
		      command_line, flags) ? -errno : 0;
	close(kernel);
	close(initrd);
	unlink(NEXT_INITRD);

	return ret;
}

/* Load it by kexec_file_load(2). Return 0 or a negative errno, as the next one does. */
static inline int load_by_file(void)
{
	return load_with(next_command_line(), 0);
}

/*
 * The same kernel is to go on, with this on its command line as well, when this one crashes,
 * which has to be told how much memory (crashkernel=) that one has.
 */
static inline void load_for_crash(const char *more)
{
	static char command_line[2048];
	int ret;

	snprintf(command_line, sizeof(command_line), "%s %s", next_command_line(), more);
	ret = load_with(command_line, KEXEC_FILE_ON_CRASH);
	if (ret)
		plu_bail("no kernel can be loaded for a crash: %s", strerror(-ret));
}

static inline void __noreturn crash_on_purpose(void)
{
	plu_announce_crash("crash on purpose");
	plu_load_module("external/pci_liveupdate_crash", "");
	plu_bail("it does not crash");
}

#ifdef __x86_64__

#include <asm/bootparam.h>

/* In a bzImage: the header begins where it does in struct boot_params, and has its end here. */
#define HEADER_START	offsetof(struct boot_params, hdr)
#define HEADER_END	0x201
#define HEADER_END_BASE	0x202
#define SECTOR_SIZE	512
/* Beyond where the kernel is loaded to, it is entered in 64-bit mode. */
#define ENTRY_64	0x200
#define ANY_LOADER	0xff

#define CLASSIC_PAGE	4096UL
/* RAM on any machine that runs the tests, and aligned as any kernel wishes. */
#define PARAMS_AT	0x7f00000UL
#define COMMAND_LINE_AT	0x7f01000UL
#define ENTRY_AT	0x7f02000UL
#define KERNEL_AT	0x8000000UL

static inline unsigned long whole_pages(unsigned long size)
{
	return (size + CLASSIC_PAGE - 1) & ~(CLASSIC_PAGE - 1);
}

static inline const unsigned char *map_whole(const char *path, size_t *size)
{
	int fd = open(path, O_RDONLY);
	void *map;

	*size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
	map = mmap(NULL, *size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		plu_skip("%s: cannot map it: %s", path, strerror(errno));
	close(fd);

	return map;
}

/* The memory map and the like are those of this kernel. */
static inline struct boot_params *make_params(const unsigned char *image)
{
	static char page[CLASSIC_PAGE + 1];
	struct boot_params *params = (void *)page;

	if (plu_read_file("/sys/kernel/boot_params/data", page, sizeof(page)) !=
	    sizeof(*params))
		plu_bail("cannot read the parameters of this kernel");
	memcpy(&params->hdr, image + HEADER_START,
	       HEADER_END_BASE + image[HEADER_END] - HEADER_START);
	params->hdr.type_of_loader = ANY_LOADER;
	params->hdr.setup_data = 0;
	params->hdr.cmd_line_ptr = COMMAND_LINE_AT;
	params->ext_cmd_line_ptr = 0;
	params->ext_ramdisk_image = 0;
	params->ext_ramdisk_size = 0;

	return params;
}

/* What is jumped to: the kernel wants the address of its parameters in a register. */
static inline const __u8 *make_entry(size_t *size)
{
	/* mov $PARAMS_AT,%esi; mov $KERNEL_AT + ENTRY_64,%eax; jmp *%rax */
	static __u8 code[] = { 0xbe, [5] = 0xb8, [10] = 0xff, 0xe0 };
	const __u32 params = PARAMS_AT, kernel = KERNEL_AT + ENTRY_64;

	memcpy(code + 1, &params, sizeof(params));
	memcpy(code + 6, &kernel, sizeof(kernel));
	*size = sizeof(code);

	return code;
}

static inline int load_classic(void)
{
	const char *command_line = next_command_line();
	const unsigned char *image, *initrd;
	size_t image_size, initrd_size, setup_size, entry_size;
	const __u8 *entry = make_entry(&entry_size);
	struct boot_params *params;
	unsigned long initrd_at;
	int ret;

	make_next_initrd();
	image = map_whole(NEXT_KERNEL, &image_size);
	initrd = map_whole(NEXT_INITRD, &initrd_size);
	params = make_params(image);
	setup_size = (params->hdr.setup_sects + 1) * SECTOR_SIZE;
	initrd_at = KERNEL_AT + whole_pages(params->hdr.init_size);
	params->hdr.ramdisk_image = initrd_at;
	params->hdr.ramdisk_size = initrd_size;

	struct kexec_segment segments[] = {
		{ params, sizeof(*params), (void *)PARAMS_AT, CLASSIC_PAGE },
		{ command_line, strlen(command_line) + 1, (void *)COMMAND_LINE_AT, CLASSIC_PAGE },
		{ entry, entry_size, (void *)ENTRY_AT, CLASSIC_PAGE },
		{ image + setup_size, image_size - setup_size, (void *)KERNEL_AT,
		  initrd_at - KERNEL_AT },
		{ initrd, initrd_size, (void *)initrd_at, whole_pages(initrd_size) },
	};

	ret = syscall(__NR_kexec_load, ENTRY_AT, ARRAY_SIZE(segments), segments,
		      KEXEC_ARCH_X86_64) ? -errno : 0;
	munmap((void *)image, image_size);
	munmap((void *)initrd, initrd_size);
	unlink(NEXT_INITRD);

	return ret;
}

#else

static inline int load_classic(void)
{
	plu_does_not_apply("what loads kernels by kexec_load(2) is for x86-64 only");
}

#endif /* __x86_64__ */

#endif /* _SELFTESTS_PCI_LIVEUPDATE_KEXEC_CALLS_H */
