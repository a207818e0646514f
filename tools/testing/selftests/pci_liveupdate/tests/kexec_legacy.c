// SPDX-License-Identifier: GPL-2.0
/*
 * A kernel that was loaded by kexec_load(2), to which nothing can be handed over, is not
 * started while a session is open: devices would work on in a kernel that does not know of
 * them, nor of the memory that they use. The kernel says why, all goes on as it was, and
 * one that is loaded by kexec_file_load(2) instead is handed everything. With nothing to
 * hand over it is started as ever.
 */

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kexec_calls.h"
#include "plu.h"

#define SESSION		"kexec_legacy"
#define MEMORY_TOKEN	0x3e3
#define COOKIE		0x1e6ac9

#define REFUSAL		"loaded by kexec_load(2), which hands nothing over"

static bool is_refused(void)
{
	unsigned int said = plu_times_said(REFUSAL);
	int ret = plu_reboot();

	said = plu_times_said(REFUSAL) - said;
	if (ret != -EINVAL || said != 1)
		plu_say("gives %d, and says why %u times", ret, said);

	return ret == -EINVAL && said == 1;
}

static void with_device(struct plu_device *d)
{
	int session = plu_session(SESSION);

	plu_set_cookie(d, COOKIE);
	plu_set_bus_master(d->bdf, true);
	plu_preserve(session, d);
	plu_check("a device is outgoing");
	plu_ok(is_refused(), "the kernel is not started");
	plu_ok(plu_file_is(d->fd, d, COOKIE) && plu_is_bus_master(d->bdf), "the device works");
	plu_check("and is outgoing, as it was");
	plu_ok(is_refused(), "nor is the kernel when it is tried again");
	plu_close_session(session);
	plu_check("the device can be unpreserved");
}

static void with_memory(void)
{
	int session = plu_session(SESSION);
	int memfd = memfd_create("kexec_legacy", 0);

	if (memfd < 0 || write(memfd, SESSION, sizeof(SESSION)) != sizeof(SESSION))
		plu_bail("memfd: %s", strerror(errno));
	plu_gives(plu_try_preserve(session, memfd, MEMORY_TOKEN), 0, "memory is preserved");
	plu_ok(is_refused(), "the kernel is not started");
	plu_ok(write(memfd, SESSION, sizeof(SESSION)) < 0, "the memory is preserved still");
	plu_close_session(session);
	plu_ok(write(memfd, SESSION, sizeof(SESSION)) == sizeof(SESSION), "and can be let go");
	close(memfd);
}

static void kernel_a(void)
{
	plu_find_devices(2);
	plu_gives(load_classic(), 0, "kexec_load(2) loads the next kernel");
	with_device(&plu.dev[0]);
	with_memory();
	plu_gives(load_by_file(), 0, "kexec_file_load(2) loads it");
	plu_preserve(plu_session(SESSION), &plu.dev[0]);
	plu_check("the device is outgoing again");
}

static void kernel_b(void)
{
	struct plu_device *d;
	int session;

	plu_take_over();
	plu_check("the device is incoming");
	session = plu_retrieve_session(SESSION);
	plu_retrieve(session, &plu.dev[0]);
	plu_ok(plu_file_is(plu.dev[0].fd, &plu.dev[0], COOKIE),
	       "it is retrieved, works, and has the cookie");
	plu_finish(session);
	plu_close_session(session);
	plu_check("every device is ordinary");

	for (d = plu.dev; d < plu_end(); d++)
		plu_set_bus_master(d->bdf, true);
	plu_gives(load_classic(), 0, "kexec_load(2) loads the next kernel");
}

/* That this runs shows that the kernel was started. */
static void kernel_c(void)
{
	unsigned int masters = 0;
	struct plu_device *d;

	plu_find_devices(2);
	plu_check("nothing was handed over: every device works and is ordinary");
	plu_gives(plu_try_retrieve_session(SESSION), -ENOENT, "there is no session");
	for (d = plu.dev; d < plu_end(); d++)
		masters += plu_is_bus_master(d->bdf);
	plu_ok(!masters, "no device is a bus master");
}

static const struct plu_test test = {
	.name = "kexec_legacy",
	.stage = {
		{ .run = kernel_a, .plan = 13 },
		{ .run = kernel_b, .plan = 4, .hands_nothing_over = true },
		{ .run = kernel_c, .plan = 3 },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
