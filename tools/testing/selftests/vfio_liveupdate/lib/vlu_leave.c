// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of live update with vfio-pci: what a user can leave behind in a device when the
 * kernel is replaced, and what the device is like at the last moment.
 */

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vlu.h"

/* libvfio knows message-signaled ones only. */
static void set_intx(struct vfio_pci_device *v, __u32 action, int eventfd_fd)
{
	bool has_fd = action == VFIO_IRQ_SET_ACTION_TRIGGER && eventfd_fd >= 0;
	bool is_off = action == VFIO_IRQ_SET_ACTION_TRIGGER && eventfd_fd < 0;
	struct {
		struct vfio_irq_set header;
		__s32 fd;
	} set = {
		.header.argsz = sizeof(set),
		.header.flags = action | (has_fd ? VFIO_IRQ_SET_DATA_EVENTFD :
						   VFIO_IRQ_SET_DATA_NONE),
		.header.index = VFIO_PCI_INTX_IRQ_INDEX,
		.header.count = !is_off,
		.fd = eventfd_fd,
	};

	if (ioctl(v->fd, VFIO_DEVICE_SET_IRQS, &set.header))
		plu_bail("INTx: %s", strerror(errno));
}

void vlu_set_intx(struct vfio_pci_device *v, int eventfd_fd)
{
	set_intx(v, VFIO_IRQ_SET_ACTION_TRIGGER, eventfd_fd);
}

void vlu_unmask_intx(struct vfio_pci_device *v)
{
	set_intx(v, VFIO_IRQ_SET_ACTION_UNMASK, -1);
}

void vlu_set_ioeventfd(struct vfio_pci_device *v, unsigned int bar, unsigned int offset,
		       __u32 value, int eventfd_fd)
{
	struct vfio_device_ioeventfd set = {
		.argsz = sizeof(set),
		.flags = VFIO_DEVICE_IOEVENTFD_32,
		.offset = v->bars[bar].info.offset + offset,
		.data = value,
		.fd = eventfd_fd,
	};

	if (ioctl(v->fd, VFIO_DEVICE_IOEVENTFD, &set))
		plu_bail("ioeventfd: %s", strerror(errno));
}

void vlu_signal(int eventfd_fd)
{
	if (eventfd_write(eventfd_fd, 1))
		plu_bail("eventfd: %s", strerror(errno));
}

static bool is_signalled(void *eventfd_fd)
{
	struct pollfd events = { .fd = *(int *)eventfd_fd, .events = POLLIN };

	return poll(&events, 1, 0) == 1;
}

bool vlu_was_signalled(int eventfd_fd)
{
	eventfd_t count;

	return plu_wait_for(is_signalled, &eventfd_fd) && !eventfd_read(eventfd_fd, &count);
}

void vlu_set_low_power(struct vfio_pci_device *v, bool low)
{
	struct vfio_device_feature set = {
		.argsz = sizeof(set),
		.flags = VFIO_DEVICE_FEATURE_SET | (low ? VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY :
							  VFIO_DEVICE_FEATURE_LOW_POWER_EXIT),
	};

	if (ioctl(v->fd, VFIO_DEVICE_FEATURE, &set))
		plu_bail("low power: %s", strerror(errno));
}

void vlu_set_asleep(struct vfio_pci_device *v, const struct plu_device *d, bool asleep)
{
	unsigned int control = plu_capability(d->bdf, PCI_CAP_ID_PM) + PCI_PM_CTRL;
	__u16 state = vfio_pci_config_readw(v, control) & ~PCI_PM_CTRL_STATE_MASK;

	vfio_pci_config_writew(v, control, state | (asleep ? 3 : 0));
}

static bool is_in(const struct plu_device *d, const char *state)
{
	char is[16];

	if (plu_read_file(plu_sysfs(d, "power_state"), is, sizeof(is)) < 0)
		plu_bail("%s: no state of power", d->bdf);

	return !strncmp(is, state, strlen(state));
}

bool vlu_is_asleep(void *d)
{
	return is_in(d, "D3hot");
}

bool vlu_is_awake(void *d)
{
	return is_in(d, "D0");
}

void vlu_look_last(const char *bdfs, const void *page)
{
	char parameters[256];

	snprintf(parameters, sizeof(parameters), "devices=%s address=0x%llx", bdfs,
		 (unsigned long long)plu_physical(page));
	if (plu_load_module("external/vfio_last_look", parameters))
		plu_bail("%s: cannot be looked at", bdfs);
}

__u16 vlu_looked(const void *page, unsigned int device, unsigned int offset)
{
	__u16 value;

	memcpy(&value, page + device * PCI_CFG_SPACE_SIZE + offset, sizeof(value));

	return value;
}

bool vlu_was_silent(const void *page, unsigned int device, const struct plu_device *d)
{
	unsigned int msi = plu_capability(d->bdf, PCI_CAP_ID_MSI);
	unsigned int msix = plu_capability(d->bdf, PCI_CAP_ID_MSIX);

	return vlu_looked(page, device, PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE &&
	       !(msi && vlu_looked(page, device, msi + PCI_MSI_FLAGS) & PCI_MSI_FLAGS_ENABLE) &&
	       !(msix && vlu_looked(page, device, msix + PCI_MSIX_FLAGS) & PCI_MSIX_FLAGS_ENABLE);
}
