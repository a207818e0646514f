// SPDX-License-Identifier: GPL-2.0
/*
 * There is no memory, at each place where some is asked for, while the file of a device is
 * preserved that is to go on with its DMA through an IOMMU, while it is unpreserved, and in
 * the next kernel while it is bound and attached. What was begun is refused, nothing is left
 * of it, and the device goes on as it did before.
 */

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>

#include <linux/vfio.h>

#include "translated.h"

static struct controller usb = { .bdf = TRANSLATED_BDF, .token = TRANSLATED_TOKEN };

static const char *topology(void)
{
	return TRANSLATED_QEMU(",x-scalable-mode=on", "");
}

#define SESSION		"translated_faults"
#define MEMORY		"translated_faults-memory"
#define CMDLINE		VLU_CMDLINE ",sm_on loglevel=5"
#define ROUNDS		16

static struct plu_device *d;
static int session;

static int preserve(void)
{
	return plu_try_preserve(session, d->fd, d->token);
}

static void settle_preserved(int ret)
{
	plu_settle_preserve(session, d, ret);
}

static void end_session(void)
{
	plu_close_session(session);
	session = plu_session(SESSION);
}

static int close_session(void)
{
	plu_close_session(session);

	return 0;
}

static void preserve_again(void)
{
	session = plu_session(SESSION);
	plu_preserve(session, d);
}

static bool is_not_preserved(void)
{
	return plu_is_as_expected() && is_in_state(&usb, "outgoing", "");
}

static const struct plu_attempt preserving = {
	.what = "a file is preserved",
	.call = preserve,
	.settle = settle_preserved,
	.undo = end_session,
	.is_same = is_not_preserved,
	.rounds = ROUNDS,
}, unpreserving = {
	.what = "its session is closed",
	.call = close_session,
	.undo = preserve_again,
	.cannot_fail = true,
};

static void kernel_a(void)
{
	vlu_load_driver(false);
	plu_find_devices(1);
	d = controller_device(&usb);
	prepare_controller(&usb, iommu_init("iommufd"));
	start_controller(&usb);
	if (preserve_memory(plu_session(MEMORY), &usb))
		plu_bail("memory can't be preserved");

	session = plu_session(SESSION);
	plu_fail_each(&preserving);
	plu_preserve(session, d);
	plu_fail_each(&unpreserving);
	goes_on(&usb, "it is preserved");
	plu_check("it is outgoing");
	uhci_arm(usb.schedule);
	plu.note = (frame(&usb) + 1) % TRANSLATED_NUMBERS;
}

/* Until it is done with all memory that it asks for: how often was it refused? */
static unsigned int fail_until_done(void (*fail)(unsigned int nth), int (*call)(void),
				    const char *what)
{
	unsigned int nth = 0, refused = 0, wrong = 0;
	bool did_fail;
	int ret;

	for (;;) {
		fail(++nth);
		ret = call();
		did_fail = plu_did_fail();
		if (!ret)
			break;
		refused++;
		if (ret != -ENOMEM || !did_fail || !is_in_state(&usb, "incoming", "restored")) {
			plu_say("with allocation %u: %d", nth, ret);
			wrong++;
			if (!did_fail)
				break;
		}
	}
	plu_ok(refused && !ret && !wrong, "%s: %u times refused", what, refused);

	return refused;
}

static struct iommu *iommu;

static int bind_file(void)
{
	struct vfio_device_bind_iommufd bind = {
		.argsz = sizeof(bind),
		.iommufd = iommu->iommufd,
	};

	return ioctl(d->fd, VFIO_DEVICE_BIND_IOMMUFD, &bind) ? -errno : 0;
}

static int attach_file(void)
{
	return vlu_attach(d->fd, iommu->ioas_id);
}

static void kernel_b(void)
{
	int memory;

	vlu_load_driver(false);
	plu_take_over();
	d = controller_device(&usb);
	vlu_bind(d);
	session = plu_retrieve_session(SESSION);
	memory = plu_retrieve_session(MEMORY);
	iommu = iommu_init("iommufd");
	retrieve_memory(memory, &usb, iommu);
	lost_nothing_since(&usb, plu.note);

	plu_retrieve(session, d);
	fail_until_done(plu_fail_nth, bind_file, "its file is bound");
	goes_on(&usb, "its file is bound");
	/* Its entry is cleared, and then set, or set back. */
	expect_faults();
	fail_until_done(plu_fail_nth, attach_file, "it is attached");
	plu_ok(is_in_state(&usb, "incoming", "replaced"), "it has a new page table");
	goes_on(&usb, "it is attached");
	plu_gives(vlu_try_finish(session), 0, "its session is finished");
	plu_gives(vlu_try_finish(memory), 0, "and that of its memory");
}

static const struct plu_test test = {
	.name = "translated_faults",
	.qemu = topology,
	.also = uhci_ids,
	.stage = {
		{ .run = kernel_a, .plan = 2 * PLU_FAIL_RESULTS + 1, .cmdline = CMDLINE },
		{ .run = kernel_b, .plan = 8, .cmdline = CMDLINE },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
