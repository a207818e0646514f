// SPDX-License-Identifier: GPL-2.0
/*
 * The file of a device survives, together with memory that the device does DMA with.
 * Until it is finished, nobody else can open the device, and it can't be finished until
 * it was retrieved and bound to an iommufd.
 */

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/io.h>

#include "vlu.h"

static const char *topology(void)
{
	return "-device intel-iommu\n"
		"-device pcie-root-port,id=rp1,chassis=1,addr=4\n"
		"-device edu,bus=rp1";
}

#define DEVICE		(&plu.dev[0])
#define SESSION		"vfio-preserve"
#define MEMORY_TOKEN	0x3e3
#define MEMORY_SIZE	8192
#define IOVA		0x100000

static void *page(const struct vlu_memory *memory, unsigned int number)
{
	return memory->region.vaddr + number * 4096;
}

/* From the first page by way of the device to the second one */
static void check_dma(struct vfio_pci_device *v, struct vlu_memory *memory, unsigned int number)
{
	vlu_fill(page(memory, 0), number);
	memset(page(memory, 1), 0, 4096);
	plu_ok(vlu_edu_load(v, IOVA) && vlu_edu_store(v, IOVA + 4096) &&
	       vlu_is_filled(page(memory, 1), number), "it does DMA through the IOMMU");
}

static void kernel_a(void)
{
	struct vfio_pci_device *v;
	struct vlu_memory memory;
	int session;

	vlu_load_driver(false);
	plu_find_devices(1);
	vlu_bind(DEVICE);
	v = vlu_open(DEVICE, iommu_init("iommufd"));
	vlu_create_memory(&memory, v->iommu, MEMORY_SIZE, IOVA);
	check_dma(v, &memory, 1);

	session = plu_session(SESSION);
	plu_preserve(session, DEVICE);
	plu_gives(plu_try_preserve(session, memory.fd, MEMORY_TOKEN), 0, "memory is preserved");
	plu_check("the device is outgoing");
	check_dma(v, &memory, 2);
}

static void refuse_to_open(const char *when)
{
	plu_gives(vlu_try_open(DEVICE), -EBUSY, "%s, its character device can't be opened", when);
	plu_gives(vlu_try_open_group(DEVICE), -EBUSY, "nor can its group");
}

/* What another process gets that reads a register: 0, or a signal. */
static int read_in_child(struct vfio_pci_device *v)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		readl(v->bars[0].vaddr);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		plu_bail("cannot try in another process: %s", strerror(errno));

	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

/* What is mapped of it is known to VFIO, and taken away when it must not be used. */
static void check_mapping(struct vfio_pci_device *v)
{
	__u16 command = vfio_pci_config_readw(v, PCI_COMMAND);

	vfio_pci_config_writew(v, PCI_COMMAND, command & ~PCI_COMMAND_MEMORY);
	plu_ok(read_in_child(v) == SIGBUS, "they can't be while the device answers to no memory");
	vfio_pci_config_writew(v, PCI_COMMAND, command);
	plu_ok(!read_in_child(v), "and can be when it does");
}

static void kernel_b(void)
{
	struct vfio_pci_device *v;
	struct vlu_memory memory;
	struct iommu *iommu;
	int session;

	vlu_load_driver(false);
	plu_take_over();
	plu_check("the device is incoming");
	vlu_bind(DEVICE);
	plu_check("and still is with its driver");
	refuse_to_open("while it is incoming");

	session = plu_retrieve_session(SESSION);
	plu_gives(vlu_try_finish(session), -EBUSY, "it can't be finished before it is retrieved");
	plu_retrieve(session, DEVICE);
	plu_check("it is retrieved");
	refuse_to_open("while it is retrieved");
	plu_gives(vlu_try_finish(session), -EBUSY, "nor before it is bound to an iommufd");

	iommu = iommu_init("iommufd");
	v = vfio_pci_device_init_fd(DEVICE->bdf, iommu, DEVICE->fd);
	plu_ok(vfio_pci_config_readw(v, PCI_VENDOR_ID) == DEVICE->vendor &&
	       vfio_pci_config_readw(v, PCI_DEVICE_ID) == DEVICE->device &&
	       !(vfio_pci_config_readw(v, PCI_COMMAND) & PCI_COMMAND_MASTER),
	       "its config space is that of one that was just opened");
	plu_ok(vlu_edu_is_alive(v, 0x5a5a5a5a), "its registers can be read and written");
	check_mapping(v);
	vlu_retrieve_memory(&memory, iommu, MEMORY_SIZE, IOVA, session, MEMORY_TOKEN);
	plu_ok(vlu_is_filled(page(&memory, 1), 2), "what it wrote to memory is there");
	check_dma(v, &memory, 3);

	plu_finish(session);
	plu_check("it is finished");
	check_dma(v, &memory, 4);

	vfio_pci_device_cleanup(v);
	DEVICE->fd = -1;
	plu_gives(vlu_try_attach_group(DEVICE), 0, "when it is closed its group can be used");
	v = vlu_open(DEVICE, iommu);
	plu_ok(vlu_edu_is_alive(v, 0xa5a5a5a5), "and it can be opened as any other");
	check_dma(v, &memory, 5);
	vfio_pci_device_cleanup(v);
}

static const struct plu_test test = {
	.name = "vfio_preserve",
	.qemu = topology,
	.stage = {
		{ .run = kernel_a, .plan = 4, .cmdline = VLU_CMDLINE },
		{ .run = kernel_b, .plan = 20, .cmdline = VLU_CMDLINE },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
