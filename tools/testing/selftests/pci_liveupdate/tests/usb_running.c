// SPDX-License-Identifier: GPL-2.0
/*
 * USB controllers that were preserved run on in the next kernel: neither what the kernel
 * does to such controllers when it finds them, nor the drivers that it has for them, halt
 * them. These drivers, which know nothing of live update, are not bound to a device as long
 * as it is incoming, which is said once of each; nor is that of an nvme. They are bound when
 * it is finished, and somebody has the kernel look for a driver.
 */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "native.h"
#include "plu.h"
#include "uhci.h"

static const char *topology(void)
{
	return "-device pcie-root-port,id=rp1,chassis=1,addr=4\n"
		"-device qemu-xhci,bus=rp1\n"
		"-device pcie-root-port,id=rp2,chassis=2,addr=5\n"
		"-device nvme,bus=rp2,serial=1\n"
		"-device ich9-usb-ehci1,addr=6\n"
		"-device ich9-usb-uhci1,addr=7";
}

static const struct plu_id devices[] = {
	{ 0x1b36, 0x000d },
	{ 0x1b36, 0x0010 },
	{ 0x8086, 0x293a },
	{ 0x8086, 0x2934 },
	{ }
};

static const char * const modules[] = {
	"usb-common", "usbcore", "xhci-hcd", "xhci-pci", "ehci-hcd", "ehci-pci", "uhci-hcd",
	"nvme-core", "nvme", NULL
};

#define XHCI		"0000:00/04.0/00.0"
#define NVME		"0000:00/05.0/00.0"
#define EHCI		"0000:00/06.0"
#define UHCI		"0000:00/07.0"

#define SESSION		"usb_running"
#define MEMORY_TOKEN	0x3e3

#define NOT_BOUND	"not bound to %s, which does not know live update"

static const struct native {
	const char *path;
	const char *driver;
} natives[] = {
	{ XHCI, "xhci_hcd" },
	{ NVME, "nvme" },
	{ EHCI, "ehci-pci" },
	{ UHCI, "uhci_hcd" },
};

static struct uhci_schedule *schedule;

static void map_schedule(int fd)
{
	schedule = mmap(NULL, sizeof(*schedule), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (schedule == MAP_FAILED)
		plu_bail("mmap: %s", strerror(errno));
}

/* --- Controllers ------------------------------------------------------------- */

/* xHCI and EHCI: the command register is where the first byte says, the status follows. */
#define COMMAND_RUN	0x1
#define XHCI_HALTED	0x1
#define EHCI_HALTED	0x1000
#define UHCI_STATUS	0x2
#define UHCI_HALTED	0x20

static __u32 *map_command(const char *path)
{
	int fd = open(plu_sysfs(plu_at(path), "resource0"), O_RDWR);
	__u8 *map;

	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		plu_bail("%s: cannot map its registers: %s", path, strerror(errno));
	close(fd);

	return (__u32 *)(map + (__atomic_load_n((__u32 *)map, __ATOMIC_ACQUIRE) & 0xff));
}

static void start(const char *path)
{
	__atomic_store_n(map_command(path), COMMAND_RUN, __ATOMIC_RELEASE);
}

static bool runs(const char *path, __u32 halted)
{
	const __u32 *command = map_command(path);

	return __atomic_load_n(command, __ATOMIC_ACQUIRE) & COMMAND_RUN &&
	       !(__atomic_load_n(command + 1, __ATOMIC_ACQUIRE) & halted);
}

static bool xhci_runs(void)
{
	return runs(XHCI, XHCI_HALTED);
}

static bool ehci_runs(void)
{
	return runs(EHCI, EHCI_HALTED);
}

/* It writes to memory as well. */
static bool uhci_runs(void)
{
	const struct plu_device *d = plu_at(UHCI);

	uhci_arm(schedule);

	return uhci_read(d, UHCI_COMMAND) & UHCI_RUN &&
	       !(uhci_read(d, UHCI_STATUS) & UHCI_HALTED) &&
	       plu_wait_for(uhci_has_done_all, schedule);
}

static bool all_are_masters(void)
{
	bool all = true;

	for (size_t i = 0; i < ARRAY_SIZE(natives); i++)
		all &= plu_is_bus_master(plu_at(natives[i].path)->bdf);

	return all;
}

/* --- Their drivers ----------------------------------------------------------- */

static void bind_test_driver(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(natives); i++)
		if (plu_driver_override(plu_at(natives[i].path)->bdf, PLU_DRIVER))
			plu_bail("%s: cannot be bound", natives[i].path);
}

/* Each kept away, and this said once? */
static bool all_are_refused(void)
{
	bool all = true;

	for (size_t i = 0; i < ARRAY_SIZE(natives); i++) {
		const struct plu_device *d = plu_at(natives[i].path);
		unsigned int said = plu_times_said_of(d, NOT_BOUND, natives[i].driver);

		if (said == 1 && !native_drives(natives[i].driver, d))
			continue;
		plu_say("%s: %s drives it%s, said to be refused %u times", d->bdf,
			natives[i].driver, native_drives(natives[i].driver, d) ? "" : " not",
			said);
		all = false;
	}

	return all;
}

static void try_to_bind(void)
{
	bool none = true;

	for (size_t i = 0; i < ARRAY_SIZE(natives); i++)
		native_probe(plu_at(natives[i].path));
	plu_ok(all_are_refused(), "nor when the kernel looks for a driver once more");
	for (size_t i = 0; i < ARRAY_SIZE(natives); i++)
		none &= plu_bind(plu_at(natives[i].path), natives[i].driver) < 0;
	plu_ok(none, "nor can userspace bind any of them");
}

static bool are_bound(void *unused)
{
	bool all = true;

	for (size_t i = 0; i < ARRAY_SIZE(natives); i++)
		all &= native_drives(natives[i].driver, plu_at(natives[i].path));

	return all;
}

static void bind_natives(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(natives); i++) {
		struct plu_device *d = plu_at(natives[i].path);

		if (plu_driver_override(d->bdf, NULL))
			plu_bail("%s: cannot be unbound", d->bdf);
		native_probe(d);
		d->driver = natives[i].driver;
	}
	plu_ok(plu_wait_for(are_bound, NULL), "each is bound to the driver that is there for it");
}

/* --- The test ---------------------------------------------------------------- */

static void kernel_a(void)
{
	int session, memfd;

	plu_find_devices(ARRAY_SIZE(natives));
	bind_test_driver();
	memfd = memfd_create("usb_running", 0);
	if (memfd < 0 || ftruncate(memfd, sizeof(*schedule)))
		plu_bail("memfd: %s", strerror(errno));
	map_schedule(memfd);
	memset(schedule, 0, sizeof(*schedule));
	session = plu_session(SESSION);
	if (plu_try_preserve(session, memfd, MEMORY_TOKEN))
		plu_bail("cannot preserve memory");
	for (struct plu_device *d = plu.dev; d < plu_end(); d++) {
		plu_set_bus_master(d->bdf, true);
		plu_preserve(session, d);
	}
	plu_check("three USB controllers and an nvme are outgoing");

	start(XHCI);
	start(EHCI);
	uhci_prepare(plu_at(UHCI), schedule, false);
	uhci_start(plu_at(UHCI));
	plu_ok(xhci_runs() && ehci_runs() && uhci_runs(), "the controllers run");
}

static void kernel_b(void)
{
	int session, memfd;

	plu_take_over();
	plu_ok(all_are_masters(), "all are bus masters");
	plu_ok(xhci_runs(), "the xHCI runs");
	plu_ok(ehci_runs(), "the EHCI runs");
	session = plu_retrieve_session(SESSION);
	memfd = plu_retrieve_fd(session, MEMORY_TOKEN);
	if (memfd < 0)
		plu_bail("cannot retrieve memory: %s", strerror(-memfd));
	map_schedule(memfd);
	plu_ok(uhci_runs(), "the UHCI runs, and writes to memory");
	plu_check("all are incoming, and have no driver");

	native_load(modules);
	plu_ok(all_are_refused(), "drivers that know nothing of live update are not bound");
	try_to_bind();
	plu_ok(xhci_runs() && ehci_runs() && uhci_runs() && all_are_masters(),
	       "the controllers run, and all are bus masters");
	plu_check("all are incoming, and have no driver still");

	bind_test_driver();
	for (struct plu_device *d = plu.dev; d < plu_end(); d++)
		plu_retrieve(session, d);
	plu_ok(xhci_runs() && ehci_runs() && uhci_runs(),
	       "the controllers run when their files are retrieved");
	plu_finish(session);
	plu_check("all are finished");
	bind_natives();
	plu_check("and ordinary");
}

static const struct plu_test test = {
	.name = "usb_running",
	.qemu = topology,
	.also = devices,
	.stage = {
		{ .run = kernel_a, .plan = 2 },
		{ .run = kernel_b, .plan = 14 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
