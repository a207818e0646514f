// SPDX-License-Identifier: GPL-2.0
/*
 * A preserved device that asserts its interrupt (INTx) while there is no kernel, or one in
 * which nobody handles it, does not take the interrupt from those who have the same line:
 * its INTx is disabled as long as it is incoming, whatever its driver does. It is enabled
 * when the driver enables the device after that.
 *
 * The line's other user is a port, which has an interrupt whenever its slot is told to do
 * something; ports use the line as pcie_pme=nomsi tells them to. edu asserts the interrupt
 * 100 ms after it was told to copy something, which is just before the jump. QEMU counts
 * instructions, so that time does not depend on what else the machine has to do.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/pci_regs.h>

#include "edu_regs.h"
#include "plu.h"

static const char *topology(void)
{
	/* The port's own way to be plugged, not ACPI's */
	return "-icount shift=0,sleep=off\n"
		"-global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off\n"
		/* Every fourth device of the root bus has the same line. */
		"-device edu,addr=4,dma_mask=0xffffffff\n"
		"-device pcie-root-port,id=rp1,chassis=1,slot=1,addr=8\n"
		"-device edu,bus=rp1";
}

#define KEPT		"0000:00/04.0"
#define PORT		"0000:00/08.0"

#define SESSION		"intx"
#define CMDLINE		"pcie_pme=nomsi"

/* What the kernel says when it has disabled a line, and a port that waits in vain */
#define DISABLED	"nobody cared"
#define TIMEOUT		"Timeout on hotplug command"
/* It looks after 100,000 interrupts that nobody has handled. */
#define TOO_MANY	10000

static unsigned int line_of(const char *path)
{
	char line[16];

	if (plu_read_file(plu_sysfs(plu_at(path), "irq"), line, sizeof(line)) <= 0)
		plu_bail("%s: cannot read its interrupt", path);

	return strtoul(line, NULL, 10);
}

/* How many have come on the line of the port? */
static unsigned long count_interrupts(void)
{
	static char text[16384];
	char mark[16], *at, *end;
	unsigned long count = 0;

	snprintf(mark, sizeof(mark), " %u:", line_of(PORT));
	if (plu_read_file("/proc/interrupts", text, sizeof(text)) <= 0)
		plu_bail("cannot read /proc/interrupts");
	at = strstr(text, mark);
	if (!at)
		plu_bail("nobody uses the line%s", mark);
	/* A number for each processor, then whose it is. */
	at += strlen(mark);
	for (;;) {
		while (*at == ' ')
			at++;
		if (*at < '0' || *at > '9')
			return count;
		count += strtoul(at, &end, 10);
		at = end;
	}
}

static bool asserts_interrupt(void)
{
	return plu_config_read(plu_at(KEPT)->bdf, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT;
}

static bool is_disabled(void)
{
	return plu_config_read(plu_at(KEPT)->bdf, PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE;
}

static void kernel_a(void)
{
	struct plu_device *d;
	__u32 *regs;

	plu_find_devices(2);
	d = plu_at(KEPT);
	plu_ok(line_of(KEPT) == line_of(PORT), "a device and a port share an interrupt line");
	plu_ok(!is_disabled() && !asserts_interrupt(), "the device could raise an interrupt");
	plu_preserve(plu_session(SESSION), d);
	plu_check("it is outgoing");

	/* What it reads does not matter. */
	regs = edu_map(d);
	plu_set_bus_master(d->bdf, true);
	edu_write(regs, EDU_SOURCE, 0);
	edu_write(regs, EDU_DESTINATION, EDU_BUFFER);
	edu_write(regs, EDU_COUNT, EDU_LENGTH);
	edu_unmap(regs);
}

static void start(void)
{
	plu_find_devices(0);
	edu_write(edu_map(plu_at(KEPT)), EDU_COMMAND, EDU_START | EDU_INTERRUPT);
}

static void use_line(void)
{
	struct plu_device *port = plu_at(PORT);
	unsigned long before = count_interrupts();

	plu_switch_off(port);
	plu_ok(plu_wait_until_empty(port), "the port's slot is switched off");
	plu_ok(!plu_times_said(TIMEOUT) && count_interrupts() > before,
	       "the port has had interrupts for that");
}

static void acknowledge(void)
{
	__u32 *regs = edu_map(plu_at(KEPT));

	edu_write(regs, EDU_ACKNOWLEDGE, edu_read(regs, EDU_RAISED));
	edu_unmap(regs);
}

/* Until nobody has it enabled: a driver that goes may not take that back. */
static void disable_device(struct plu_device *d)
{
	while (!plu_write_file(plu_sysfs(d, "enable"), "0\n"))
		;
}

static void kernel_b(void)
{
	struct plu_device *d;
	int session;

	plu_take_over();
	d = plu_at(KEPT);
	plu_check("the device is incoming");
	plu_ok(asserts_interrupt(), "it asserts its interrupt");
	plu_ok(is_disabled(), "which is disabled, though its driver has enabled the device");
	use_line();
	plu_check("what was in the slot is gone");

	plu_gives(plu_unbind(d), 0, "the device is unbound");
	disable_device(d);
	plu_gives(plu_bind(d, PLU_DRIVER), 0, "and bound again, which enables it anew");
	plu_ok(asserts_interrupt() && is_disabled(), "its interrupt is disabled still");
	session = plu_retrieve_session(SESSION);
	plu_retrieve(session, d);
	plu_ok(asserts_interrupt() && is_disabled(), "also when its driver has it back");
	plu_finish(session);
	plu_ok(count_interrupts() < TOO_MANY && !plu_times_said(DISABLED),
	       "nothing of it was to be seen on the line");

	acknowledge();
	plu_ok(!asserts_interrupt(), "the interrupt is acknowledged");
	plu_gives(plu_unbind(d), 0, "the finished device is unbound");
	disable_device(d);
	plu_gives(plu_bind(d, PLU_DRIVER), 0, "and bound again");
	plu_ok(!is_disabled(), "it can raise interrupts");
	plu_check("it is ordinary");
}

static const struct plu_test test = {
	.name = "intx",
	.qemu = topology,
	.stage = {
		{ .run = kernel_a, .plan = 3, .cmdline = CMDLINE, .before_jump = start },
		{ .run = kernel_b, .plan = 16, .cmdline = CMDLINE },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
