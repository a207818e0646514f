// SPDX-License-Identifier: GPL-2.0
/*
 * Not a test but a demonstration, with the same means: what a person wants to see of
 * a live update, in lines of which demo.h tells. A row is
 *
 *	demo: row NUMBER | DEVICE | KERNEL | ADDRESS | BUSES | ACS | ARI | MASTER | DMA
 *
 * Kernel A preserves all devices but one, and starts DMA on them and on that one. Its
 * target is a memfd that is preserved as well. Kernel B is told to give buses other
 * numbers, to set other ACS controls and to ignore ARI, and takes the devices back.
 * Kernel C is told the same, and nothing is handed over to it.
 *
 * It is about a device and a kernel. The buses and ARI forwarding are those of the bridge
 * above, the ACS controls those of the next one above that has any. An asterisk marks what
 * has changed.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include "demo.h"
#include "edu.h"
#include "plu.h"

#define SESSION		"demo"
#define MEMORY_TOKEN	0xd3a

/* Time is counted in instructions, so that nothing depends on how busy the host is. */
#define COUNTED		"-icount shift=0,sleep=off "

/* Bus 1 to 8 may go to the first port. What is below the others is then elsewhere. */
#define TOPOLOGY							\
	"-device pcie-root-port,id=empty,chassis=1,addr=3 "		\
	"-device pcie-root-port,id=rp1,chassis=2,addr=4 "		\
	"-device x3130-upstream,id=up,bus=rp1 "				\
	"-device xio3130-downstream,id=dn1,bus=up,chassis=3 "		\
	"-device xio3130-downstream,id=dn2,bus=up,chassis=4 "		\
	"-device xio3130-downstream,id=dn3,bus=up,chassis=5 "		\
	"-device edu,dma_mask=0xffffffff,bus=dn1 "			\
	"-device ich9-usb-uhci1,bus=dn2 "				\
	"-device nvme-subsys,id=subsys "				\
	"-device nvme,serial=1,subsys=subsys,sriov_max_vfs=1,sriov_vq_flexible=2," \
	"sriov_vi_flexible=1,bus=dn3 "					\
	"-device pcie-root-port,id=rp2,chassis=6,addr=5 "		\
	"-device edu,dma_mask=0xffffffff,bus=rp2"

/* Nothing to wait 100 ms for: other clocks do. */
#define QUICK		"nolapic_timer no_timer_check "
#define OTHERWISE	QUICK "pci=assign-busses,hpbussize=8,noari,config_acs=0000000@pci:0:0"

/* --- DMA --------------------------------------------------------------------- */

#define PAGE_SIZE	4096

/* What one device reads and writes. A part of it is in pages that lie anywhere. */
union memory {
	struct {
		char landed[PAGE_SIZE];
		char original[PAGE_SIZE];
	} edu;
	struct {
		__u32 frame[1024];
		struct {
			__u32 link, control, token, buffer;
		} transfer[1024];
	} uhci;
};

static union memory *memory;

static void map_memory(int memfd)
{
	memory = mmap(NULL, plu.nr_devices * sizeof(*memory), PROT_READ | PROT_WRITE,
		      MAP_SHARED, memfd, 0);
	if (memory == MAP_FAILED)
		plu_bail("mmap of the memfd: %s", strerror(errno));
}

static union memory *memory_of(const struct plu_device *d)
{
	return memory + (d - plu.dev);
}

static __u32 physical(const void *address)
{
	unsigned long page = (unsigned long)address / PAGE_SIZE;
	int fd = open("/proc/self/pagemap", O_RDONLY);
	__u64 entry = 0;

	if (fd < 0 || syscall(__NR_pread64, fd, &entry, sizeof(entry),
			      page * sizeof(entry)) != sizeof(entry))
		plu_bail("/proc/self/pagemap: %s", strerror(errno));
	close(fd);

	/* Present, and the page frame's number in the 55 bits at the bottom. */
	entry = (entry & (1ULL << 55) - 1) * PAGE_SIZE * (entry >> 63);
	if (!entry || entry >> 32)
		plu_bail("the memfd has a page where not each device gets to");

	return entry + (unsigned long)address % PAGE_SIZE;
}

static int open_resource(const struct plu_device *d, const char *resource)
{
	int fd = open(plu_sysfs(d, resource), O_RDWR);

	if (fd < 0)
		plu_bail("%s: %s: %s", d->bdf, resource, strerror(errno));

	return fd;
}

static __u64 edu_access(const struct plu_device *d, unsigned int offset,
			const __u64 *write)
{
	int fd = open_resource(d, "resource0");
	__u64 value = 0;
	void *map;

	map = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		plu_bail("%s: mmap of its registers: %s", d->bdf, strerror(errno));
	if (write)
		__atomic_store_n((__u64 *)(map + offset), *write, __ATOMIC_RELEASE);
	else
		value = __atomic_load_n((__u64 *)(map + offset), __ATOMIC_ACQUIRE);
	munmap(map, PAGE_SIZE);

	return value;
}

static void edu_write(const struct plu_device *d, unsigned int offset, __u64 value)
{
	edu_access(d, offset, &value);
}

static bool edu_is_done(void *d)
{
	return !(edu_access(d, EDU_COMMAND, NULL) & EDU_START);
}

static void edu_wait(const struct plu_device *d)
{
	if (!plu_wait_for(edu_is_done, (void *)d))
		plu_bail("%s: does not end its DMA", d->bdf);
}

static void edu_prepare(const struct plu_device *d)
{
	union memory *m = memory_of(d);

	for (int i = 0; i < EDU_LENGTH; i++)
		m->edu.original[i] = 1 + i % 251;

	edu_write(d, EDU_SOURCE, physical(m->edu.original));
	edu_write(d, EDU_DESTINATION, EDU_BUFFER);
	edu_write(d, EDU_COUNT, EDU_LENGTH);
	edu_write(d, EDU_COMMAND, EDU_START);
	edu_wait(d);

	edu_write(d, EDU_SOURCE, EDU_BUFFER);
	edu_write(d, EDU_DESTINATION, physical(m->edu.landed));
}

static void edu_start(const struct plu_device *d)
{
	edu_write(d, EDU_COMMAND, EDU_START | EDU_TO_MEMORY);
}

static void edu_landed(const struct plu_device *d, unsigned int *is, unsigned int *of)
{
	const union memory *m = memory_of(d);

	edu_wait(d);
	*of = EDU_LENGTH;
	*is = 0;
	for (int i = 0; i < EDU_LENGTH; i++)
		*is += m->edu.landed[i] == m->edu.original[i];
}

/*
 * A USB controller works through a list of 1024 frames, one every millisecond. Let
 * each have one transfer of its own, to a device that is not there: the controller
 * then writes back that it is not active any more.
 */
enum uhci_register {
	UHCI_COMMAND	= 0x0,
	UHCI_INTERRUPT	= 0x4,
	UHCI_FRAME	= 0x6,
	UHCI_LIST	= 0x8,
};

#define UHCI_RUN	0x1
#define UHCI_END	0x1		/* of a list */
#define UHCI_ACTIVE	0x800000
#define UHCI_IN		0x69		/* a token: what is to be transferred, */
#define UHCI_NOWHERE	(0x7f << 8)	/* to which device, */
#define UHCI_EMPTY	(0x7ffU << 21)	/* and how much */

static __u32 uhci_access(const struct plu_device *d, enum uhci_register offset,
			 const __u32 *write)
{
	size_t size = offset == UHCI_LIST ? 4 : 2;
	int fd = open_resource(d, "resource4");
	__u32 value = write ? *write : 0;
	long len;

	len = syscall(write ? __NR_pwrite64 : __NR_pread64, fd, &value, size, offset);
	close(fd);
	if (len != (long)size)
		plu_bail("%s: cannot reach its registers", d->bdf);

	return value;
}

static void uhci_write(const struct plu_device *d, enum uhci_register offset, __u32 value)
{
	uhci_access(d, offset, &value);
}

static void uhci_prepare(const struct plu_device *d)
{
	union memory *m = memory_of(d);

	for (size_t i = 0; i < ARRAY_SIZE(m->uhci.frame); i++) {
		m->uhci.transfer[i].link = UHCI_END;
		m->uhci.transfer[i].control = UHCI_ACTIVE;
		m->uhci.transfer[i].token = UHCI_EMPTY | UHCI_NOWHERE | UHCI_IN;
		m->uhci.frame[i] = physical(&m->uhci.transfer[i]);
	}
	uhci_write(d, UHCI_COMMAND, 0);
	uhci_write(d, UHCI_INTERRUPT, 0);
	uhci_write(d, UHCI_FRAME, 0);
	uhci_write(d, UHCI_LIST, physical(m->uhci.frame));
}

static void uhci_start(const struct plu_device *d)
{
	uhci_write(d, UHCI_COMMAND, UHCI_RUN);
}

/* Of the frames that it has been through, how many has it written to? */
static void uhci_landed(const struct plu_device *d, unsigned int *is, unsigned int *of)
{
	const union memory *m = memory_of(d);

	*of = uhci_access(d, UHCI_FRAME, NULL);
	if (*of > ARRAY_SIZE(m->uhci.frame))
		*of = ARRAY_SIZE(m->uhci.frame);
	*is = 0;
	for (unsigned int i = 0; i < *of; i++)
		*is += !(m->uhci.transfer[i].control & UHCI_ACTIVE);
}

static const struct kind {
	struct plu_id id;
	const char *name;
	/* What its DMA is, and how to have it done, for those that do any. */
	const char *dma, *unit;
	void (*prepare)(const struct plu_device *d);
	void (*start)(const struct plu_device *d);
	void (*landed)(const struct plu_device *d, unsigned int *is, unsigned int *of);
} kinds[] = {
	{ { 0x1234, 0x11e8 }, "edu", "copies 2048 bytes to memory, in 100 ms", "bytes",
	  edu_prepare, edu_start, edu_landed },
	{ { 0x8086, 0x2934 }, "USB controller", "writes to memory every millisecond",
	  "writes", uhci_prepare, uhci_start, uhci_landed },
	{ { 0x1b36, 0x0010 }, "NVMe drive with VFs" },
};

static const struct kind *kind(const struct plu_device *d)
{
	for (const struct kind *k = kinds; k < kinds + ARRAY_SIZE(kinds); k++)
		if (k->id.vendor == d->vendor && k->id.device == d->device)
			return k;

	plu_bail("%s: what is %04x:%04x?", d->bdf, d->vendor, d->device);
}

/* --- Devices ------------------------------------------------------------------ */

/* One device stays out, to show the difference. */
static bool is_left_alone(const struct plu_device *d)
{
	return d + 1 == plu_end();
}

static const char *place(const struct plu_device *d)
{
	return plu_level(d) > 1 ? "behind the switch" : "behind a root port";
}

/* The test driver drives anything that it is told to. */
static void bind_devices(void)
{
	struct plu_device *d;
	int ret;

	for (d = plu.dev; d < plu_end(); d++) {
		if (d->driver)
			continue;
		ret = plu_driver_override(d->bdf, PLU_DRIVER);
		if (ret)
			plu_bail("%s: cannot be bound: %s", d->bdf, strerror(-ret));
	}
}

static void print_options(void)
{
	char options[128];

	if (plu_cmdline("pci", options, sizeof(options)))
		step("its command line says pci=%s", options);
}

/* A value in the table, and is it another one than before? */
static const char *cell(char *buf, size_t size, const char *is, bool changed)
{
	snprintf(buf, size, "%s%s", is, changed ? "*" : "");

	return buf;
}

static const char *on(bool is)
{
	return is ? "on" : "off";
}

/* What a device, and how it gets to memory, was and is known by. */
struct seen {
	const char *bdf;
	struct plu_routing device, bridge;
	__u32 acs;
};

/* QEMU's switch has no ACS controls, but its root ports do. */
static const struct plu_device *acs_bridge(const struct plu_device *d)
{
	for (unsigned int level = 0; level < plu_level(d); level++)
		if (plu_ext_capability(plu_bridge_above(d, level), PCI_EXT_CAP_ID_ACS))
			return plu_upstream(d, level);

	plu_bail("%s: nothing above it has ACS controls", d->bdf);
}

static struct seen before(const struct plu_device *d)
{
	return (struct seen){
		.bdf = d->handed_bdf,
		.device = d->handed,
		.bridge = plu_upstream(d, 0)->handed,
		.acs = acs_bridge(d)->handed.acs,
	};
}

static struct seen now(const struct plu_device *d)
{
	struct seen is = {
		.bdf = d->bdf,
		.device = plu_read_routing(d->bdf),
		.bridge = plu_read_routing(plu_bridge_above(d, 0)),
		.acs = plu_read_routing(acs_bridge(d)->bdf).acs,
	};
	char used[4] = "";

	/* A kernel that ignores ARI does not switch it off either. */
	plu_read_file(plu_sysfs(d, "ari_enabled"), used, sizeof(used));
	is.bridge.ari &= *used == '1';

	return is;
}

static bool is_same_place(const struct seen *a, const struct seen *b)
{
	return !strcmp(a->bdf, b->bdf) && a->bridge.numbers == b->bridge.numbers;
}

static void print_row(const struct plu_device *d, const char *kernel,
		      const struct seen *was, const struct seen *is, const char *dma)
{
	char buses[16], acs[16], cells[5][32];

	snprintf(buses, sizeof(buses), "%02x-%02x", is->bridge.numbers >> 8 & 0xff,
		 is->bridge.numbers >> 16);
	snprintf(acs, sizeof(acs), "0x%02x", is->acs);

	printf("demo: row %d | %s, %s%s | %s | %s | %s | %s | %s | %s | %s\n",
	       (int)(d - plu.dev), kind(d)->name, place(d),
	       is_left_alone(d) ? " (left alone)" : "", kernel,
	       cell(cells[0], sizeof(cells[0]), is->bdf, strcmp(was->bdf, is->bdf)),
	       cell(cells[1], sizeof(cells[1]), buses,
		    was->bridge.numbers >> 8 != is->bridge.numbers >> 8),
	       cell(cells[2], sizeof(cells[2]), acs, was->acs != is->acs),
	       cell(cells[3], sizeof(cells[3]), on(is->bridge.ari),
		    was->bridge.ari != is->bridge.ari),
	       cell(cells[4], sizeof(cells[4]), on(is->device.bus_master),
		    was->device.bus_master != is->device.bus_master), dma);
}

/* --- Kernel A ----------------------------------------------------------------- */

static void kernel_a(void)
{
	struct plu_device *d;
	int session, memfd, ret;

	printf("demo: kernel A: preserves devices\n");
	plu_find_devices(ARRAY_SIZE(kinds) + 1);
	bind_devices();
	print_options();
	step("%u PCI devices, each with a file in /dev", plu.nr_devices);
	for (d = plu.dev; d < plu_end(); d++)
		device(d, "%s, %s", kind(d)->name, place(d));
	check(plu_check("no device is preserved"), "no device is preserved yet");

	session = plu_session(SESSION);
	step("live update session \"%s\" opened, device files preserved in it", SESSION);
	for (d = plu.dev; d < plu_end(); d++) {
		plu_set_cookie(d, 0xc0ffee00 + d->token);
		if (is_left_alone(d)) {
			device(d, "left alone");
			continue;
		}
		plu_preserve(session, d);
		device(d, "outgoing, and so are the %u bridges above", plu_level(d));
	}

	memfd = memfd_create("dma", 0);
	if (memfd < 0 || ftruncate(memfd, plu.nr_devices * sizeof(*memory)))
		plu_bail("memfd: %s", strerror(errno));
	map_memory(memfd);
	memset(memory, 0, plu.nr_devices * sizeof(*memory));
	ret = plu_try_preserve(session, memfd, MEMORY_TOKEN);
	if (ret)
		plu_bail("cannot preserve the memfd: %s", strerror(-ret));
	check(plu_check("all but one are outgoing"), "all devices but one are outgoing");

	step("a memfd preserved in it, too, for DMA that is started just before the jump:");
	for (d = plu.dev; d < plu_end(); d++) {
		plu_set_bus_master(d->bdf, true);
		if (!kind(d)->prepare)
			continue;
		kind(d)->prepare(d);
		device(d, "%s", kind(d)->dma);
	}
	step("kexec: kernel A hands over to kernel B");
}

/* By now everything is in the devices' registers, but for the word to go. */
static void start_dma(void)
{
	struct plu_device *d;

	plu_find_devices(ARRAY_SIZE(kinds) + 1);
	for (d = plu.dev; d < plu_end(); d++)
		if (kind(d)->start)
			kind(d)->start(d);
}

/* --- Kernel B ----------------------------------------------------------------- */

static bool incoming[PLU_MAX_DEVICES];

/* How much of its DMA has landed, and is it what should have? */
static const char *dma_result(const struct plu_device *d)
{
	static char text[64];
	unsigned int is, of;

	if (!kind(d)->landed)
		return "-";

	kind(d)->landed(d, &is, &of);
	snprintf(text, sizeof(text), "%u of %u %s landed", is, of, kind(d)->unit);
	if (is_left_alone(d))
		check(!is, "no DMA of %s lands, which nobody preserved", d->bdf);
	else
		check(of && is == of, "all DMA of %s lands", d->bdf);

	return text;
}

static void compare(const struct plu_device *d, const struct seen *was,
		    const struct seen *is)
{
	check(is_same_place(was, is), "%s keeps its address", d->bdf);
	if (is_left_alone(d)) {
		check(!incoming[d - plu.dev], "%s is not incoming", d->bdf);
		check(!is->device.bus_master, "%s is no bus master", d->bdf);
		return;
	}
	check(was->acs, "ACS was in use above %s", d->bdf);
	check(was->acs == is->acs, "ACS above %s is the same", d->bdf);
	check(was->bridge.ari == is->bridge.ari, "ARI above %s is the same", d->bdf);
	check(incoming[d - plu.dev] && !plu_is_incoming(d), "%s is finished", d->bdf);
	check(is->device.bus_master && is->bridge.bus_master,
	      "%s and the bridge above are bus masters", d->bdf);
}

static void kernel_b(void)
{
	struct plu_device *d;
	bool ari = false, same = true;
	int session, memfd;

	printf("demo: kernel B: takes devices back\n");
	plu_take_over();
	print_options();
	step("it has looked for PCI devices and for what kernel A says of them");
	for (d = plu.dev; d < plu_end(); d++) {
		incoming[d - plu.dev] = plu_is_incoming(d);
		device(d, "%s, bus mastering is %s",
		       incoming[d - plu.dev] ? "incoming" : "not incoming",
		       on(plu_is_bus_master(d->bdf)));
	}
	bind_devices();
	check(plu_check("what was outgoing is incoming"), "what was outgoing is incoming");

	session = plu_retrieve_session(SESSION);
	step("session \"%s\" retrieved, and the files from it", SESSION);
	memfd = plu_retrieve_fd(session, MEMORY_TOKEN);
	if (memfd < 0)
		plu_bail("cannot retrieve the memfd: %s", strerror(-memfd));
	map_memory(memfd);
	for (d = plu.dev; d < plu_end(); d++) {
		bool intact;

		if (kind(d)->landed)
			device(d, "DMA: %s", dma_result(d));
		if (is_left_alone(d))
			continue;
		plu_retrieve(session, d);
		intact = plu_file_is(d->fd, d, d->handed_cookie);
		same &= intact;
		device(d, intact ? "its file works" : "its file does not work");
	}
	check(plu_ok(same, "the files work"), "each file is what it was");

	plu_finish(session);
	step("session \"%s\" finished: the devices are ordinary ones", SESSION);
	check(plu_check("every device is ordinary"), "every device is an ordinary one");
	step("nothing is left of the hand-over: %s", plu_status("handover"));

	for (d = plu.dev; d < plu_end(); d++) {
		struct seen was = before(d), is = now(d);

		compare(d, &was, &is);
		ari |= is.bridge.ari;
		print_row(d, "A", &was, &was, kind(d)->dma ?: "-");
		print_row(d, is_left_alone(d) ? "B: not handed over" :
			  "B: handed over, finished", &was, &is, dma_result(d));
	}
	check(ari, "ARI forwarding is on somewhere");
	step("kexec: kernel B hands over nothing to kernel C, which is told the same");
}

/* --- Kernel C ----------------------------------------------------------------- */

/* What was asked for happens where nothing is handed over. */
static void kernel_c(void)
{
	struct plu_device *d;
	bool moved = true;

	printf("demo: kernel C: for comparison\n");
	plu_take_over();
	print_options();
	for (d = plu.dev; d < plu_end(); d++) {
		struct seen was = before(d), is = now(d);

		moved &= !is_same_place(&was, &is);
		device(d, "was %s", was.bdf);
		check(!is.device.bus_master, "%s is no bus master", d->bdf);
		check(!is.acs && !is.bridge.ari, "ACS and ARI are off above %s",
		      d->bdf);
		print_row(d, "C: nothing handed over", &was, &is, "-");
	}
	check(plu_ok(moved, "all addresses differ"), "every device has another address");
}

static const char *qemu(void)
{
	return COUNTED TOPOLOGY;
}

static const struct plu_id also[] = { { 0x8086, 0x2934 }, { 0x1b36, 0x0010 }, { } };

static const struct plu_test test = {
	.name = "demo",
	.qemu = qemu,
	.also = also,
	.stage = {
		{ .run = kernel_a, .plan = 2, .before_jump = start_dma,
		  .cmdline = QUICK "pci=config_acs=0011101@pci:0:0" },
		{ .run = kernel_b, .plan = 3, .cmdline = OTHERWISE },
		{ .run = kernel_c, .plan = 1, .cmdline = OTHERWISE },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
