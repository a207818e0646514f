/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Live update of vfio-pci's devices: what its parts in C and in Rust need of each other.
 */
#ifndef VFIO_PCI_LIVEUPDATE_H
#define VFIO_PCI_LIVEUPDATE_H

#include <linux/kho/abi/vfio_pci.h>
#include <linux/liveupdate.h>
#include <linux/pci.h>
#include <linux/types.h>

#include "freeze.h"

struct file;
struct vfio_device;
struct vfio_device_ops;
struct vfio_pci_core_device;

/* vfio_pci.c */
extern const struct vfio_device_ops vfio_pci_ops;
extern struct pci_driver vfio_pci_driver;

#ifdef CONFIG_VFIO_PCI_LIVEUPDATE

/* vfio_pci_liveupdate.rs: begin and end to preserve files */
int vfio_pci_liveupdate_init(void);
void vfio_pci_liveupdate_exit(void);

/* incoming.rs: can somebody have the device back? And was it stopped for him? */
bool vfio_pci_liveupdate_is_claimed(struct pci_dev *pdev);
bool vfio_pci_liveupdate_was_handed_over_stopped(struct pci_dev *pdev);

/* device.c: for vfio_pci.c */
void vfio_pci_liveupdate_add_device(struct vfio_pci_core_device *vdev);
void vfio_pci_liveupdate_begin_remove(struct vfio_pci_core_device *vdev);
void vfio_pci_liveupdate_end_remove(struct vfio_pci_core_device *vdev);
void vfio_pci_liveupdate_open_device(struct vfio_pci_core_device *vdev);
void vfio_pci_liveupdate_was_opened(struct vfio_pci_core_device *vdev);
void vfio_pci_liveupdate_was_stopped(struct vfio_pci_core_device *vdev);
void vfio_pci_liveupdate_close_device(struct vfio_device *device);
void vfio_pci_liveupdate_shutdown(struct pci_dev *pdev);
int vfio_pci_liveupdate_ioctl_feature(struct vfio_device *device, u32 flags,
				      void __user *arg, size_t argsz);

/* device.c: for device.rs, which documents them */
struct vfio_pci_core_device *vfio_pci_liveupdate_device_of(struct file *file);
bool vfio_pci_liveupdate_can_preserve(struct file *file);
struct pci_dev *vfio_pci_liveupdate_pdev(struct vfio_pci_core_device *vdev);
int vfio_pci_liveupdate_set_preserved(struct pci_dev *pdev, struct file *file, u32 *flags,
				      u32 *registers);
void vfio_pci_liveupdate_unset_preserved(struct pci_dev *pdev);
bool vfio_pci_liveupdate_is_gone(struct pci_dev *pdev);
bool vfio_pci_liveupdate_is_attached(struct vfio_pci_core_device *vdev);
int vfio_pci_liveupdate_check_translation(struct vfio_pci_core_device *vdev);
int vfio_pci_liveupdate_refuse_removals(void);
void vfio_pci_liveupdate_begin(void);
void vfio_pci_liveupdate_end(void);
void vfio_pci_liveupdate_attach(struct pci_dev *pdev);
void vfio_pci_liveupdate_stop_stray(struct pci_dev *pdev);
void vfio_pci_liveupdate_stop_unclaimed(void);
void vfio_pci_liveupdate_begin_reset(struct pci_dev *pdev);
struct file *vfio_pci_liveupdate_open(struct pci_dev *pdev, u32 flags,
				      const u32 *registers);

#else

static inline int vfio_pci_liveupdate_init(void)
{
	return 0;
}

static inline void vfio_pci_liveupdate_exit(void)
{
}

static inline void vfio_pci_liveupdate_add_device(struct vfio_pci_core_device *vdev)
{
}

static inline void vfio_pci_liveupdate_begin_remove(struct vfio_pci_core_device *vdev)
{
}

static inline void vfio_pci_liveupdate_end_remove(struct vfio_pci_core_device *vdev)
{
}

static inline void vfio_pci_liveupdate_open_device(struct vfio_pci_core_device *vdev)
{
}

static inline void vfio_pci_liveupdate_was_opened(struct vfio_pci_core_device *vdev)
{
}

static inline void vfio_pci_liveupdate_was_stopped(struct vfio_pci_core_device *vdev)
{
}

#define vfio_pci_liveupdate_shutdown		NULL
#define vfio_pci_liveupdate_close_device	vfio_pci_core_close_device
#define vfio_pci_liveupdate_ioctl_feature	vfio_pci_core_ioctl_feature

#endif

#endif /* VFIO_PCI_LIVEUPDATE_H */
