// SPDX-License-Identifier: GPL-2.0
/*
 * Gives ports an ACS capability that they do not have:
 *
 *	insmod pci_liveupdate_acs.ko ports=0000:03:00.0,0000:06:00.0
 *
 * In QEMU 7.2 only root ports have one, and no bus reset reaches these.
 *
 * The capability's controls have to outlive this kernel, and not to outlive a reset of
 * the port, and the PCI core must not save them with anything else. They are kept in
 * the data register of the port's MSI capability, of which all of this is true while
 * the port does not use MSI.
 */

#include <linux/bitfield.h>
#include <linux/module.h>
#include <linux/pci.h>

#include "interpose.h"

#define MAX_PORTS	4

/* Where the capability is: far behind the others. */
#define ACS_POS		0x800
#define ACS_END		(ACS_POS + 8)

#define ACS_CAPABLE	(PCI_ACS_SV | PCI_ACS_TB | PCI_ACS_RR | PCI_ACS_CR | \
			 PCI_ACS_UF | PCI_ACS_DT)

#define EXT_CAP_NEXT	GENMASK(31, 20)

static char *ports[MAX_PORTS];
static int nr_ports;
module_param_array(ports, charp, &nr_ports, 0444);
MODULE_PARM_DESC(ports, "addresses of the ports, no two on one bus");

static struct port {
	struct interposer interposer;
	int last;		/* extended capability, after which ours comes */
	int store;		/* of the controls */
} port[MAX_PORTS];

/* The one whose operations a bus has. */
static struct port *port_of(struct pci_bus *bus)
{
	for (; bus; bus = bus->parent)
		for (int n = 0; n < nr_ports; n++)
			if (port[n].interposer.bus == bus)
				return &port[n];

	return NULL;
}

static int port_read(struct port *p, int where, int size, u32 *value)
{
	struct interposer *i = &p->interposer;

	return i->true_ops->read(i->bus, i->devfn, where, size, value);
}

/* The dword of config space at an offset. */
static u32 acs_dword(struct port *p, int where)
{
	u32 value = 0;

	switch (where) {
	case ACS_POS:
		return PCI_EXT_CAP_ID_ACS | 1 << 16;
	case ACS_POS + PCI_ACS_CAP:
		port_read(p, p->store, 2, &value);
		return ACS_CAPABLE | (value & ACS_CAPABLE) << 16;
	default:
		port_read(p, p->last, 4, &value);
		return (value & ~EXT_CAP_NEXT) | FIELD_PREP(EXT_CAP_NEXT, ACS_POS);
	}
}

static int acs_read(struct pci_bus *bus, unsigned int devfn, int where, int size,
		    u32 *value)
{
	struct port *p = port_of(bus);
	struct interposer *i = &p->interposer;
	int dword = where & ~3;

	if (!interposer_is_for(i, bus, devfn) ||
	    (dword != p->last && (where < ACS_POS || where >= ACS_END)))
		return i->true_ops->read(bus, devfn, where, size, value);

	*value = acs_dword(p, dword) >> (where - dword) * 8;
	if (size < 4)
		*value &= (1U << size * 8) - 1;

	return 0;
}

static int acs_write(struct pci_bus *bus, unsigned int devfn, int where, int size,
		     u32 value)
{
	struct port *p = port_of(bus);
	struct interposer *i = &p->interposer;

	if (!interposer_is_for(i, bus, devfn) || where < ACS_POS || where >= ACS_END)
		return i->true_ops->write(bus, devfn, where, size, value);

	if (where != ACS_POS + PCI_ACS_CTRL || size != 2)
		return PCIBIOS_BAD_REGISTER_NUMBER;

	return i->true_ops->write(bus, devfn, p->store, 2, value & ACS_CAPABLE);
}

static int __init acs_find(struct port *p)
{
	struct interposer *i = &p->interposer;
	u32 header, flags;
	int pos, msi;

	msi = pci_bus_find_capability(i->bus, i->devfn, PCI_CAP_ID_MSI);
	if (!msi)
		return -ENODEV;
	port_read(p, msi + PCI_MSI_FLAGS, 2, &flags);
	p->store = msi + (flags & PCI_MSI_FLAGS_64BIT ? PCI_MSI_DATA_64 :
							PCI_MSI_DATA_32);

	for (pos = PCI_CFG_SPACE_SIZE; pos; pos = FIELD_GET(EXT_CAP_NEXT, header)) {
		port_read(p, pos, 4, &header);
		if (pos < p->last || pos >= ACS_POS || header == ~0U ||
		    PCI_EXT_CAP_ID(header) == PCI_EXT_CAP_ID_ACS)
			return -ENODEV;
		p->last = pos;
	}

	return 0;
}

static int __init acs_init(void)
{
	int err;

	for (int n = 0; n < nr_ports; n++) {
		err = interposer_init(&port[n].interposer, ports[n]);
		if (err)
			return err;
		err = acs_find(&port[n]);
		if (err)
			return err;
		port[n].interposer.ops.read = acs_read;
		port[n].interposer.ops.write = acs_write;
	}

	for (int n = 0; n < nr_ports; n++)
		interpose(&port[n].interposer);

	return 0;
}
module_init(acs_init);

static void __exit acs_exit(void)
{
	for (int n = 0; n < nr_ports; n++)
		uninterpose(&port[n].interposer);
}
module_exit(acs_exit);

MODULE_DESCRIPTION("Test of PCI Live Update with ports that lose ACS controls by a reset");
MODULE_LICENSE("GPL");
