// SPDX-License-Identifier: GPL-2.0
/*
 * PCI Live Update: what one user leaves in a device's configuration, and the next one must
 * not find.
 *
 * These are the registers, and bits of them, that VFIO lets a user write knowingly, and
 * that a device keeps. All others are virtual or the kernel's; or VFIO lets them through as
 * they are, as it does not know what they mean: the vendor's, and capabilities that it
 * hides. Error reporting is not even cleared by a reset.
 */

#include <linux/bitfield.h>
#include <linux/export.h>
#include <linux/pci.h>
#include <linux/pci_liveupdate.h>

static const struct user_register {
	enum { HEADER, CAPABILITY, EXTENDED } space;
	u16 id;		/* of the capability */
	u16 where;	/* in it, or in the header */
	u8 size;
	u32 mask;	/* what a user may have changed */
	u32 neutral;	/* what does no harm where it isn't known what was there */
} user_registers[] = {
	{ HEADER, 0, PCI_COMMAND, 2,
	  0xffff & ~(PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
		     PCI_COMMAND_INTX_DISABLE), 0 },
	{ HEADER, 0, PCI_CACHE_LINE_SIZE, 1, 0xff, 0 },
	{ HEADER, 0, PCI_LATENCY_TIMER, 1, 0xff, 0 },
	{ CAPABILITY, PCI_CAP_ID_PCIX, PCI_X_CMD, 2,
	  PCI_X_CMD_DPERR_E | PCI_X_CMD_ERO | PCI_X_CMD_MAX_READ | PCI_X_CMD_MAX_SPLIT, 0 },
	{ CAPABILITY, PCI_CAP_ID_EXP, PCI_EXP_DEVCTL, 2,
	  0xffff & ~(PCI_EXP_DEVCTL_PAYLOAD | PCI_EXP_DEVCTL_PHANTOM | PCI_EXP_DEVCTL_READRQ |
		     PCI_EXP_DEVCTL_BCR_FLR), 0 },
	{ CAPABILITY, PCI_CAP_ID_EXP, PCI_EXP_DEVCTL2, 2, 0xffff & ~PCI_EXP_DEVCTL2_ARI, 0 },
	{ EXTENDED, PCI_EXT_CAP_ID_ERR, PCI_ERR_UNCOR_MASK, 4, ~0U,
	  PCI_ERR_UNC_INTN | PCI_ERR_UNC_POISON_BLK },
	{ EXTENDED, PCI_EXT_CAP_ID_ERR, PCI_ERR_UNCOR_SEVER, 4, ~0U,
	  PCI_ERR_UNC_DLP | PCI_ERR_UNC_SURPDN | PCI_ERR_UNC_FCP | PCI_ERR_UNC_RX_OVER |
	  PCI_ERR_UNC_MALF_TLP | PCI_ERR_UNC_INTN },
	{ EXTENDED, PCI_EXT_CAP_ID_ERR, PCI_ERR_COR_MASK, 4, ~0U,
	  PCI_ERR_COR_ADV_NFAT | PCI_ERR_COR_INTERNAL | PCI_ERR_COR_LOG_OVER },
	{ EXTENDED, PCI_EXT_CAP_ID_ERR, PCI_ERR_CAP, 4,
	  PCI_ERR_CAP_ECRC_GENE | PCI_ERR_CAP_ECRC_CHKE, 0 },
	{ EXTENDED, PCI_EXT_CAP_ID_PTM, PCI_PTM_CTRL, 4, ~0U, 0 },
};

static_assert(ARRAY_SIZE(user_registers) == PCI_LIVEUPDATE_NR_REGISTERS);

#define DEVCTL	4	/* of them */

/* Where it is, or 0 if the device does not have it. */
static int find(struct pci_dev *dev, const struct user_register *reg)
{
	u16 at;

	switch (reg->space) {
	case CAPABILITY:
		at = pci_find_capability(dev, reg->id);
		break;
	case EXTENDED:
		at = pci_find_ext_capability(dev, reg->id);
		break;
	default:
		return reg->where;
	}

	return at ? at + reg->where : 0;
}

static u32 read_register(struct pci_dev *dev, int where, u8 size)
{
	u32 dword = 0;
	u16 word = 0;
	u8 byte = 0;

	switch (size) {
	case 1:
		pci_read_config_byte(dev, where, &byte);
		return byte;
	case 2:
		pci_read_config_word(dev, where, &word);
		return word;
	default:
		pci_read_config_dword(dev, where, &dword);
		return dword;
	}
}

static void write_register(struct pci_dev *dev, int where, u8 size, u32 value)
{
	switch (size) {
	case 1:
		pci_write_config_byte(dev, where, value);
		break;
	case 2:
		pci_write_config_word(dev, where, value);
		break;
	default:
		pci_write_config_dword(dev, where, value);
		break;
	}
}

void pci_liveupdate_save_registers(struct pci_dev *dev, u32 *values)
{
	/* One that does not answer has nothing to say. */
	if (!pci_device_is_present(dev))
		return;

	for (unsigned int i = 0; i < ARRAY_SIZE(user_registers); i++) {
		int where = find(dev, &user_registers[i]);

		values[i] = where ? read_register(dev, where, user_registers[i].size) : 0;
	}
}
EXPORT_SYMBOL_GPL(pci_liveupdate_save_registers);

void pci_liveupdate_restore_registers(struct pci_dev *dev, const u32 *values)
{
	int request = 512;

	if (!pci_device_is_present(dev))
		return;

	for (unsigned int i = 0; i < ARRAY_SIZE(user_registers); i++) {
		const struct user_register *reg = &user_registers[i];
		int where = find(dev, reg);
		u32 is, want;

		if (!where)
			continue;
		is = read_register(dev, where, reg->size);
		want = (is & ~reg->mask) | ((values ? values[i] : reg->neutral) & reg->mask);
		if (want != is)
			write_register(dev, where, reg->size, want);
	}

	/* The PCI core knows what the machine can't have, and what is no size at all. */
	if (!pci_is_pcie(dev))
		return;
	if (values)
		request = 128 << FIELD_GET(PCI_EXP_DEVCTL_READRQ, values[DEVCTL]);
	pcie_set_readrq(dev, request);
}
EXPORT_SYMBOL_GPL(pci_liveupdate_restore_registers);
