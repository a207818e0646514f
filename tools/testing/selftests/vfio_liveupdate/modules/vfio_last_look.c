// SPDX-License-Identifier: GPL-2.0
/*
 * Copies the config space of devices to memory when all devices are shut down and the
 * next kernel is about to start, one after the other:
 *
 *	insmod vfio_last_look.ko devices=0000:01:00.0,0000:02:00.0 address=0x12345000
 *
 * The next kernel can't tell what it found: it switches some of it off before anybody
 * can look. The memory is to be a page that is preserved.
 */

#include <linux/io.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/syscore_ops.h>

#include "../../pci_liveupdate/modules/address.h"

#define MAX_DEVICES	(PAGE_SIZE / PCI_CFG_SPACE_SIZE)

static char *devices[MAX_DEVICES];
static unsigned int nr_devices;
module_param_array(devices, charp, &nr_devices, 0444);
MODULE_PARM_DESC(devices, "addresses of the devices");

static ulong address;
module_param(address, ulong, 0444);
MODULE_PARM_DESC(address, "physical address of the memory");

static struct pci_dev *pdevs[MAX_DEVICES];

static void look(void *data)
{
	u32 *config = phys_to_virt(address);

	for (unsigned int i = 0; i < nr_devices; i++)
		for (unsigned int offset = 0; offset < PCI_CFG_SPACE_SIZE; offset += 4)
			pci_read_config_dword(pdevs[i], offset, config++);
}

static const struct syscore_ops ops = { .shutdown = look };
static struct syscore syscore = { .ops = &ops };

static void put_devices(void)
{
	for (unsigned int i = 0; i < nr_devices && !IS_ERR(pdevs[i]); i++)
		pci_dev_put(pdevs[i]);
}

static int __init last_look_init(void)
{
	for (unsigned int i = 0; i < nr_devices; i++) {
		pdevs[i] = find_device(devices[i]);
		if (IS_ERR(pdevs[i])) {
			put_devices();
			return PTR_ERR(pdevs[i]);
		}
	}
	register_syscore(&syscore);

	return 0;
}
module_init(last_look_init);

static void __exit last_look_exit(void)
{
	unregister_syscore(&syscore);
	put_devices();
}
module_exit(last_look_exit);

MODULE_DESCRIPTION("Test of live update with vfio-pci that looks at devices last of all");
MODULE_LICENSE("GPL");
