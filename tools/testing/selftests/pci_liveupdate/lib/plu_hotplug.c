// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of PCI Live Update: devices that are plugged in and out, in the slot below a
 * port.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <linux/pci_regs.h>

#include "plu.h"

/*
 * Seconds that a slot has. Its driver waits for a second after it has switched the power
 * off, and as long for an answer to each command; those of other slots are before it in the
 * queue for the lock of the PCI core; and the machine may be busy.
 */
#define SLOT_DEADLINE	60

static unsigned int slot_control(const struct plu_device *port)
{
	unsigned int pos = plu_capability(port->bdf, PCI_CAP_ID_EXP);

	if (!pos || !(plu_config_read(port->bdf, pos + PCI_EXP_SLTCAP, 4) &
		      PCI_EXP_SLTCAP_HPC))
		plu_skip("%s: cannot be plugged", port->bdf);

	return pos + PCI_EXP_SLTCTL;
}

/*
 * Has the kernel removed all that was below, and then switched the slot off? The light
 * goes out last. Earlier, something that is plugged in may not be noticed.
 */
static bool is_empty(void *arg)
{
	const struct plu_device *port = arg, *d;
	const __u32 off = PCI_EXP_SLTCTL_PWR_OFF | PCI_EXP_SLTCTL_PWR_IND_OFF;

	if ((plu_config_read(port->bdf, slot_control(port), 2) & off) != off)
		return false;

	for (d = plu.dev; d < plu_end(); d++)
		if (plu_is_below(d, port) && plu_exists(plu_sysfs(d, "config")))
			return false;
	for (d = plu.bridge; d < plu_bridges_end(); d++)
		if (plu_is_below(d, port) && plu_exists(plu_sysfs(d, "config")))
			return false;

	return true;
}

bool plu_wait_until_empty(struct plu_device *port)
{
	struct plu_device *d;

	if (!plu_wait_seconds(SLOT_DEADLINE, is_empty, port))
		return false;

	for (d = plu.dev; d < plu_end(); d++)
		if (plu_is_below(d, port))
			plu_set_absent(d);
	for (d = plu.bridge; d < plu_bridges_end(); d++)
		if (plu_is_below(d, port))
			plu_set_absent(d);

	return true;
}

/* It says something only if it does not do it. */
static void tell(const char *command, const char *what)
{
	const char *answer = plu_monitor("%s %s", command, what);

	if (*answer)
		plu_bail("%s %s: %s", command, what, answer);
}

void plu_switch_off(struct plu_device *port)
{
	__u32 capabilities = plu_config_read(port->bdf, slot_control(port) -
					     PCI_EXP_SLTCTL + PCI_EXP_SLTCAP, 4);
	char path[64];
	int ret;

	snprintf(path, sizeof(path), "/sys/bus/pci/slots/%u/power",
		 capabilities >> __builtin_ctz(PCI_EXP_SLTCAP_PSN));
	ret = plu_write_file(path, "0\n");
	if (ret)
		plu_bail("%s: %s", path, strerror(-ret));
}

void plu_press_button(const char *id)
{
	tell("device_del", id);
}

/*
 * QEMU unplugs a device once the guest has switched its slot off. Let the port's driver
 * not notice that it was: when it looks, the slot is on, and the device is not there.
 */
void plu_pull_out(struct plu_device *port)
{
	unsigned int pos = slot_control(port);
	__u32 control = plu_config_read(port->bdf, pos, 2);

	plu_pull_out_unnoticed(port);
	plu_config_write(port->bdf, pos, 2, control);
}

void plu_pull_out_unnoticed(const struct plu_device *port)
{
	unsigned int pos = slot_control(port);
	__u32 control = plu_config_read(port->bdf, pos, 2);

	plu_config_write(port->bdf, pos, 2,
			 (control & ~PCI_EXP_SLTCTL_HPIE) | PCI_EXP_SLTCTL_PWR_OFF |
			 PCI_EXP_SLTCTL_PWR_IND_OFF);
}

static bool has_file(void *arg)
{
	return plu_exists(plu_node(arg));
}

bool plu_plug_in(struct plu_device *d, const char *what)
{
	tell("device_add", what);
	if (!plu_wait_seconds(SLOT_DEADLINE, has_file, d))
		return false;

	/* The model may know nothing of it but where it was. */
	d->vendor = plu_config_read(d->bdf, PCI_VENDOR_ID, 2);
	d->device = plu_config_read(d->bdf, PCI_DEVICE_ID, 2);
	d->driver = PLU_DRIVER;
	plu_set_present(d);

	return true;
}
