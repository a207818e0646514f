// SPDX-License-Identifier: GPL-2.0
/*
 * While devices are retrieved and finished, one session after the other, on several
 * processors all buses are rescanned all the time, bridges and what is below them removed,
 * devices bound and unbound, and debugfs read. When the last session is finished, the
 * hand-over has ended, and every device is ordinary.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <libliveupdate.h>

#include "plu.h"

static const char *topology(void)
{
	return "-smp 4 default\n"
		"-device pcie-root-port,id=rp9,chassis=19,addr=9\n"
		"-device x3130-upstream,id=up9,bus=rp9\n"
		"-device xio3130-downstream,id=d91,bus=up9,addr=0,chassis=91\n"
		"-device xio3130-downstream,id=d92,bus=up9,addr=1,chassis=92\n"
		"-device edu,bus=d91 -device edu,bus=d92";
}

#define ROUND_TIME	6000	/* ms */
#define RESCAN_FILE	"/sys/bus/pci/rescan"

enum { RETRIEVE, FINISH, REMOVE, RESCAN, UNBIND, BIND, READ, CHECK, NR_CALLS };

static const struct plu_call calls[NR_CALLS] = {
	/* It is not there just now, or has no driver; or was when it was first asked for. */
	[RETRIEVE] = { "retrieving a file", { ENODEV, ENOENT } },
	[FINISH] = { "finishing a session", { } },
	/* Gone, or about to go. */
	[REMOVE] = { "removing a bridge", { ENOENT, ENODEV } },
	[RESCAN] = { "looking for devices", { } },
	[UNBIND] = { "unbinding a device", { ENODEV, ENOENT } },
	[BIND] = { "binding a device", { EBUSY, ENODEV, ENOENT } },
	[READ] = { "reading debugfs", { } },
	[CHECK] = { "finding that all agrees", { } },
};

#define CALL(what, call) ({				\
	const unsigned int __what = (what);		\
							\
	plu_about_to(__what);				\
	plu_call(__what, (call));			\
})

static const char *session_of(const struct plu_device *d)
{
	static char name[32];

	snprintf(name, sizeof(name), "finish_races-%llu", (unsigned long long)d->token);

	return name;
}

static void preserve(void)
{
	struct plu_device *d;

	plu_find_devices(6);
	for (d = plu.dev; d < plu_end(); d++)
		plu_preserve(plu_session(session_of(d)), d);
	plu_check("every device is outgoing, each in a session of its own");
}

static void finish_next(void)
{
	static struct plu_device *next = plu.dev;
	int session;

	if (next == plu_end()) {
		usleep(10000);
		return;
	}
	session = plu_try_retrieve_session(session_of(next));
	if (session < 0)
		plu_bail("%s: its session: %s", next->bdf, strerror(-session));
	CALL(RETRIEVE, plu_retrieve_fd(session, next->token));
	CALL(FINISH, luo_session_finish(session));
	close(session);
	next++;
}

static void rescan(void)
{
	CALL(RESCAN, plu_write_file(RESCAN_FILE, "1\n"));
}

static void remove_and_rescan(void)
{
	struct plu_device *b = &plu.bridge[plu_random(plu.nr_bridges)];

	CALL(REMOVE, plu_write_file(plu_sysfs(b, "remove"), "1\n"));
	rescan();
}

static void rebind(void)
{
	static const char unbind[] = "/sys/bus/pci/drivers/" PLU_DRIVER "/unbind";
	static const char bind[] = "/sys/bus/pci/drivers/" PLU_DRIVER "/bind";
	struct plu_device *d = &plu.dev[plu_random(plu.nr_devices)];

	CALL(UNBIND, plu_write_file(unbind, d->bdf));
	CALL(BIND, plu_write_file(bind, d->bdf));
}

static void read_debugfs(void)
{
	static char text[65536];

	CALL(READ, plu_read_file(PLU_DEBUGFS "/incoming", text, sizeof(text)));
	CALL(READ, plu_read_file(PLU_DEBUGFS "/status", text, sizeof(text)));
	CALL(CHECK, plu_is_consistent() ? 0 : -EUCLEAN);
}

static const struct plu_job jobs[] = {
	{ .name = "finish", .step = finish_next },
	{ .name = "rescan", .step = rescan },
	{ .name = "remove", .step = remove_and_rescan },
	{ .name = "remove more", .step = remove_and_rescan },
	{ .name = "rebind", .step = rebind },
	{ .name = "read", .step = read_debugfs },
};

static bool is_finished(void)
{
	return !strcmp(plu_status("handover"), "finished") && plu_is_consistent();
}

static void finish(void)
{
	struct plu_device *d;
	unsigned int left = 0;
	bool ended;

	plu_take_over();
	plu_check("every device is incoming");
	plu_set_calls(calls, NR_CALLS);
	ended = plu_work(jobs, ARRAY_SIZE(jobs), ROUND_TIME, plu_seed(), is_finished);
	plu_ok(ended && plu_times_done(FINISH) == plu.nr_devices,
	       "the hand-over ends with its last session");
	plu_ok(!plu_show_calls(), "nothing was refused as it must not be");
	if (plu_write_file(RESCAN_FILE, "1\n"))
		plu_bail("cannot look for devices");
	for (d = plu.dev; d < plu_end(); d++)
		left += plu_is_incoming(d) || !plu_exists(plu_sysfs(d, "config"));
	plu_ok(!left && is_finished(), "every device is there, and ordinary");
}

static const struct plu_test test = {
	.name = "finish_races",
	.qemu = topology,
	.stage = {
		{ .run = preserve, .plan = 1 },
		{ .run = finish, .plan = 4, .cmdline = "pci=assign-busses,hpbussize=4" },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
