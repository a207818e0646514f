// SPDX-License-Identifier: GPL-2.0
/*
 * Many devices go on with their DMA through an IOMMU, some by a page table that they share
 * and some by their own, also below a second root bus. In the next kernel they move to new
 * page tables one by one, and none of them loses anything before, or as others move.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "translated.h"

#define NR		8
#define NR_SHARED	4

#define CONTROLLER(n, address) { .bdf = address, .token = TRANSLATED_TOKEN + 2 * (n) }

static struct controller usb[NR] = {
	CONTROLLER(0, "0000:00:06.0"), CONTROLLER(1, "0000:00:07.0"),
	CONTROLLER(2, "0000:41:00.0"), CONTROLLER(3, "0000:00:08.0"),
	CONTROLLER(4, "0000:42:00.0"), CONTROLLER(5, "0000:00:09.0"),
	CONTROLLER(6, "0000:00:0a.0"), CONTROLLER(7, "0000:43:00.0"),
};

static const char *topology(void)
{
	return TRANSLATED_QEMU(",x-scalable-mode=on,aw-bits=48",
		"\n-device ich9-usb-uhci1,addr=7\n"
		"-device ich9-usb-uhci1,addr=8\n"
		"-device ich9-usb-uhci1,addr=9\n"
		"-device ich9-usb-uhci1,addr=0xa\n"
		"-device pxb-pcie,id=second,bus_nr=64,addr=0xb\n"
		"-device pcie-root-port,id=rp1,bus=second,hotplug=off,chassis=1,addr=1\n"
		"-device pcie-root-port,id=rp2,bus=second,hotplug=off,chassis=2,addr=2\n"
		"-device pcie-root-port,id=rp3,bus=second,hotplug=off,chassis=3,addr=3\n"
		"-device ich9-usb-uhci1,bus=rp1\n"
		"-device ich9-usb-uhci1,bus=rp2\n"
		"-device ich9-usb-uhci1,bus=rp3");
}

#define SESSION		"translated_many"
#define CMDLINE		VLU_CMDLINE ",sm_on"

static struct iommu *iommus[NR];

static void make_iommus(void)
{
	struct iommu *shared = iommu_init("iommufd");

	for (unsigned int i = 0; i < NR; i++)
		iommus[i] = i < NR_SHARED ? shared : iommu_init("iommufd");
}

static void kernel_a(void)
{
	int session;

	vlu_load_driver(false);
	plu_find_devices(NR);
	make_iommus();
	session = plu_session(SESSION);
	for (unsigned int i = 0; i < NR; i++) {
		prepare_controller(&usb[i], iommus[i]);
		if (preserve_memory(session, &usb[i]))
			plu_bail("memory can't be preserved");
	}
	for (unsigned int i = 0; i < NR; i++)
		plu_preserve(session, controller_device(&usb[i]));
	plu_check("they are outgoing");
}

static void start(void)
{
	for (unsigned int i = 0; i < NR; i++)
		start_controller(&usb[i]);
}

/* How many of them have lost anything since, or have found what is not theirs? */
static unsigned int count_hurt(const unsigned int from[NR])
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < NR; i++) {
		bool hurt = count_lost(&usb[i], from[i], frame(&usb[i])) || !has_canary(&usb[i]);

		if (hurt)
			plu_say("%s has lost something", usb[i].bdf);
		n += hurt;
	}

	return n;
}

static void arm(unsigned int from[NR])
{
	for (unsigned int i = 0; i < NR; i++) {
		uhci_arm(usb[i].schedule);
		from[i] = (frame(&usb[i]) + 1) % TRANSLATED_NUMBERS;
	}
}

/* For the benchmark, from the times in the log: an instruction is a nanosecond. */
static void tell_cost_of_adoption(void)
{
	int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	unsigned long first = 0, last = 0, time;
	char line[1024];
	ssize_t size;

	while ((size = read(log, line, sizeof(line) - 1)) > 0) {
		line[size] = '\0';
		if (!strstr(line, "its translation goes on"))
			continue;
		/* PRIORITY,NUMBER,MICROSECONDS,... */
		time = strtoul(strchr(strchr(line, ',') + 1, ',') + 1, NULL, 10);
		last = time;
		if (!first)
			first = time;
	}
	close(log);
	plu_say("figure translated.adopt %lu", (last - first) * 1000 / (NR - 1));
}

static void kernel_b(void)
{
	/* So that each table is left when others are in use still. */
	static const unsigned int order[NR] = { 3, 5, 0, 7, 2, 6, 4, 1 };
	unsigned int from[NR] = { }, hurt = 0;
	int session;

	tell_cost_of_adoption();
	vlu_load_driver(false);
	plu_take_over();
	session = plu_retrieve_session(SESSION);
	make_iommus();
	for (unsigned int i = 0; i < NR; i++) {
		vlu_bind(controller_device(&usb[i]));
		retrieve_memory(session, &usb[i], iommus[i]);
	}
	plu_ok(!count_hurt(from), "none has lost anything over the jump");

	for (unsigned int i = 0; i < NR; i++) {
		unsigned int moving = order[i];

		arm(from);
		plu_gives(vlu_try_finish(session), -EBUSY, "the session can't be finished");
		retrieve_controller(session, &usb[moving], iommus[moving]);
		usleep(20000);
		/* What it has lost itself is not what is to be seen here. */
		from[moving] = frame(&usb[moving]);
		hurt += count_hurt(from);
		plu_ok(is_in_state(&usb[moving], "incoming", "replaced"), "%s moves",
		       usb[moving].bdf);
	}
	plu_ok(!hurt, "none has lost anything as another one moved");
	plu_gives(vlu_try_finish(session), 0, "the session is finished");
	arm(from);
	usleep(100000);
	plu_ok(!count_hurt(from), "none loses anything");
}

static const struct plu_test test = {
	.name = "translated_many",
	.qemu = topology,
	.also = uhci_ids,
	.stage = {
		{ .run = kernel_a, .plan = 1, .cmdline = CMDLINE, .before_jump = start },
		{ .run = kernel_b, .plan = 2 * NR + 4, .cmdline = CMDLINE },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
