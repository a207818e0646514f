// SPDX-License-Identifier: GPL-2.0
/*
 * Who takes devices and memory over from the old kernel can be killed between any two of
 * his calls, and an administrator can then do to a device what he likes: a session that
 * nobody has finished is either finished by the kernel, as all that is in it was retrieved
 * and has ended with its user, or can be had again by its name, with what is in it. No other
 * device or session notices, and the kernel can be replaced and the machine be switched off.
 *
 * In each kernel, an agent is killed after each number of calls, for one and for two devices
 * in a session. Each time something else is done then, to one of the devices, which plu.round=
 * chooses: with numbers from 0 to 9, all is done after each of them to each of the devices.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vlu.h"

/* As many calls as agents make, and none at all */
#define NR_CALLS_1	12
#define NR_CALLS_2	16
#define NR_VMS_1	(NR_CALLS_1 + 1)
#define NR_VMS_2	(NR_CALLS_2 + 1)
#define NR_VMS		(NR_VMS_1 + NR_VMS_2)
#define NR_VM_DEVICES	(NR_VMS_1 + 2 * NR_VMS_2)
/* In the hands of a process that lives, and in nobody's */
#define OTHER		(&plu.dev[NR_VM_DEVICES])
#define UNRELATED	(&plu.dev[NR_VM_DEVICES + 1])
#define NR_DEVICES	(NR_VM_DEVICES + 2)

#define OTHER_SESSION	"other"
#define MEMORY_TOKEN	0x3e4
#define MEMORY_SIZE	8192
#define IOVA		0x100000

static const char *topology(void)
{
	return vlu_slots(NR_DEVICES);
}

/* What is done to a device of a session whose agent was killed */
enum action { NOTHING, UNBIND, REMOVE, REPLUG, SWITCH_OFF, NR_ACTIONS };

static const char * const action_names[] = {
	[NOTHING]	= "left alone",
	[UNBIND]	= "unbound",
	[REMOVE]	= "removed",
	[REPLUG]	= "removed and found again",
	[SWITCH_OFF]	= "switched off",
};

static struct moment {
	struct vlu_vm vm;
	unsigned int nr_calls;
	enum action action;
	unsigned int victim;
	bool can_be_had;	/* its session, by its name */
	bool all_stopped;	/* its devices, as they had a user */
} moments[NR_VMS];

static unsigned int nr_calls(unsigned int nr_devices)
{
	return vlu_nr_calls(VLU_TAKES_OVER, nr_devices);
}

static void set_moments(unsigned int round)
{
	struct plu_device *d = plu.dev;

	if (nr_calls(1) != NR_CALLS_1 || nr_calls(2) != NR_CALLS_2)
		plu_bail("agents make %u and %u calls", nr_calls(1), nr_calls(2));

	for (unsigned int i = 0; i < NR_VMS; i++) {
		struct moment *m = &moments[i];

		memset(m, 0, sizeof(*m));
		snprintf(m->vm.session, sizeof(m->vm.session), "vm%u", i);
		m->vm.number = i;
		m->vm.nr_devices = i < NR_VMS_1 ? 1 : 2;
		m->nr_calls = i < NR_VMS_1 ? i : i - NR_VMS_1;
		m->action = (m->nr_calls + round) % NR_ACTIONS;
		m->victim = (m->nr_calls + round / NR_ACTIONS) % m->vm.nr_devices;
		for (unsigned int n = 0; n < m->vm.nr_devices; n++)
			m->vm.dev[n] = d++;
	}
}

static unsigned int first_round(void)
{
	char round[16];

	return plu_cmdline("plu.round", round, sizeof(round)) ? strtoul(round, NULL, 0) : 0;
}

/* --- The other session -------------------------------------------------------------- */

static struct iommu *iommu;
static struct vfio_pci_device *other;
static struct vlu_memory memory;
static int other_session;

static void preserve_other(void)
{
	int session = plu_session(OTHER_SESSION);

	plu_preserve(session, OTHER);
	if (plu_try_preserve(session, memory.fd, MEMORY_TOKEN))
		plu_bail("cannot preserve memory");
}

static void take_over_other(void)
{
	other_session = plu_retrieve_session(OTHER_SESSION);
	other = vlu_retrieve(other_session, OTHER, iommu);
	vlu_retrieve_memory(&memory, iommu, MEMORY_SIZE, IOVA, other_session, MEMORY_TOKEN);
}

static bool other_does_dma(unsigned int number)
{
	vlu_fill(memory.region.vaddr, number);
	memset(memory.region.vaddr + 4096, 0, 4096);

	return vlu_edu_load(other, IOVA) && vlu_edu_store(other, IOVA + 4096) &&
	       vlu_is_filled(memory.region.vaddr + 4096, number);
}

static bool remove_and_find_unrelated(void *unused)
{
	return !vlu_remove(UNRELATED) && !vlu_is_there(UNRELATED) && !vlu_rescan(UNRELATED) &&
	       vlu_is_there(UNRELATED);
}

/* --- The old kernel ------------------------------------------------------------------ */

static void preserve_all(void)
{
	for (struct moment *m = moments; m < moments + NR_VMS; m++) {
		vlu_preserve_memory(&m->vm);
		close(m->vm.memory);
		for (unsigned int n = 0; n < m->vm.nr_devices; n++)
			plu_preserve(m->vm.outgoing_session, m->vm.dev[n]);
	}
}

static bool open_all(void)
{
	bool good = true;

	for (struct moment *m = moments; m < moments + NR_VMS; m++)
		for (unsigned int n = 0; n < m->vm.nr_devices; n++)
			good &= vlu_edu_is_alive(vlu_open(m->vm.dev[n], iommu), n);

	return good;
}

static void begin(void)
{
	vlu_load_driver(false);
	vlu_find_all(NR_DEVICES);
	iommu = iommu_init("iommufd");
	for (struct plu_device *d = plu.dev; d < UNRELATED; d++)
		vlu_bind(d);
}

static void preserve(void)
{
	begin();
	set_moments(0);
	if (plu.stage == 1) {
		other = vlu_open(OTHER, iommu);
		vlu_create_memory(&memory, iommu, MEMORY_SIZE, IOVA);
	} else {
		take_over_other();
		plu_gives(vlu_try_finish(other_session), 0, "the other session has come over");
	}
	plu_ok(open_all(), "all devices can be opened");
	preserve_all();
	preserve_other();
	plu_ok(other_does_dma(plu.stage) && plu_is_consistent(), "all is preserved");
}

/* --- The new kernel ------------------------------------------------------------------ */

static struct plu_device *victim(const struct moment *m)
{
	return m->vm.dev[m->victim];
}

static bool act(void *arg)
{
	const struct moment *m = arg;
	const struct plu_device *d = victim(m);

	switch (m->action) {
	case UNBIND:
		return !vlu_unbind(d);
	case REMOVE:
		return !vlu_remove(d) && !vlu_is_there(d);
	case REPLUG:
		return !vlu_remove(d) && !vlu_rescan(d) && vlu_is_there(d);
	case SWITCH_OFF:
		return !vlu_switch_off(d) && !vlu_is_there(d);
	default:
		return true;
	}
}

/* Can the session be had? It is not changed by that. And the device, by anybody? */
static bool is_as_it_should_be(void *arg)
{
	const struct moment *m = arg;
	int session = plu_try_retrieve_session(m->vm.session);
	int fd;

	if (m->can_be_had ? session < 0 : session != -ENOENT) {
		plu_say("retrieving the session gives %d", session);
		return false;
	}
	if (m->action != NOTHING)
		return true;
	fd = vlu_try_open(victim(m));
	if (m->can_be_had ? fd != -EBUSY : fd < 0) {
		plu_say("opening the device gives %d", fd);
		return false;
	}

	return true;
}

static bool let_die(struct moment *m)
{
	const struct vlu_progress *progress;
	bool started;

	started = vlu_start_agent(VLU_TAKES_OVER, &m->vm, m->nr_calls, &progress);
	m->can_be_had = !vlu_asked_for_all(&m->vm, progress);
	m->all_stopped = progress->asked[m->vm.nr_devices - 1];

	return vlu_kill_agent() && started;
}

static bool go_through(struct moment *m)
{
	return let_die(m) &&
	       vlu_does(action_names[m->action], act, m) &&
	       vlu_does("looking", is_as_it_should_be, m) &&
	       vlu_does("having another device removed and found", remove_and_find_unrelated,
			NULL);
}

/* A device that is unbound can't be had. It may be running, unless it has had a user. */
static bool finish_without(void *arg)
{
	const struct moment *m = arg;
	int session = plu_retrieve_session(m->vm.session);
	int retrieved = plu_retrieve_fd(session, victim(m)->token);
	int finished = vlu_try_finish(session);

	if (retrieved == -ENODEV && finished == (m->all_stopped ? 0 : -EBUSY))
		return true;
	plu_say("retrieving an unbound device gives %d, finishing %d", retrieved, finished);

	return false;
}

static bool have_again(struct moment *m)
{
	const struct vlu_progress *progress;
	bool good = true;

	if (!m->can_be_had)
		return true;
	m->can_be_had = false;
	if (m->action == UNBIND)
		good = vlu_does("trying to finish", finish_without, m);
	if (m->action == UNBIND || m->action == REPLUG)
		vlu_bind(victim(m));
	if (m->action == UNBIND && m->all_stopped)
		return good;
	m->vm.gone[m->victim] = !vlu_is_there(victim(m));
	good &= vlu_start_agent(VLU_TAKES_OVER, &m->vm, nr_calls(m->vm.nr_devices), &progress);
	good &= progress->has_finished;

	return vlu_kill_agent() && good;
}

static long read_meminfo(const char *key)
{
	char text[4096], value[64];

	if (plu_read_file("/proc/meminfo", text, sizeof(text)) <= 0 ||
	    !plu_value(text, key, value, sizeof(value)))
		plu_bail("/proc/meminfo: no %s", key);

	return strtol(value, NULL, 10) / 4;
}

/* In pages: what is preserved and not restored, and what is, and not given back */
static long memory_total, memory_shared;

static void count_memory(void)
{
	memory_total = read_meminfo("MemTotal:");
	memory_shared = read_meminfo("Shmem:");
}

static bool is_memory_pinned(void)
{
	long restored = read_meminfo("MemTotal:") - memory_total;
	long held = read_meminfo("Shmem:") - memory_shared;
	long wanted = 0;

	for (const struct moment *m = moments; m < moments + NR_VMS; m++)
		if (!m->can_be_had)
			wanted += VLU_VM_PAGES;
	if (restored >= wanted && held < VLU_VM_PAGES)
		return false;
	plu_say("%ld pages restored, %ld expected, and %ld held", restored, wanted, held);

	return true;
}

static void take_over(unsigned int round)
{
	begin();
	set_moments(round);
	take_over_other();
	plu_ok(other_does_dma(1), "another session is taken over");
	count_memory();
	for (struct moment *m = moments; m < moments + NR_VMS; m++)
		plu_ok(go_through(m), "%u of %u calls for %u, then it is %s", m->nr_calls,
		       nr_calls(m->vm.nr_devices), m->vm.nr_devices,
		       action_names[m->action]);
	plu_ok(other_does_dma(2) && plu_is_consistent(), "the other session has not noticed");
	plu_gives(vlu_try_finish(other_session), 0, "and can be finished");
}

/* Those that are not there are not asked for what they were like. */
static void note_absent(void)
{
	for (struct plu_device *d = plu.dev; d < plu_end(); d++)
		if (!vlu_is_there(d))
			plu_set_absent(d);
}

static void leave_all(void)
{
	take_over(first_round() + plu.stage / 3);
	preserve_other();
	note_absent();
}

static void have_all_again(void)
{
	bool back = true;

	take_over(first_round());
	for (struct moment *m = moments; m < moments + NR_VMS; m++)
		plu_ok(have_again(m), "what %u calls have left can be had again", m->nr_calls);
	plu_ok(!is_memory_pinned(), "no memory is pinned");
	for (struct moment *m = moments; m < moments + NR_VMS; m++)
		back &= vlu_bring_back(victim(m));
	plu_ok(back, "all devices are there again");
	plu_ok(open_all(), "and can be opened");
	preserve_all();
	preserve_other();
	plu_ok(plu_is_consistent(), "all is preserved again");
}

static const struct plu_test test = {
	.name = "vfio_agent_dies",
	.qemu = topology,
	.stage = {
		{ .run = preserve, .plan = 2, .cmdline = VLU_CMDLINE },
		{ .run = leave_all, .plan = 3 + NR_VMS, .cmdline = VLU_CMDLINE },
		{ .run = preserve, .plan = 3, .cmdline = VLU_CMDLINE },
		{ .run = have_all_again, .plan = 7 + 2 * NR_VMS, .cmdline = VLU_CMDLINE },
		/* The machine is switched off. */
		{ .run = leave_all, .plan = 3 + NR_VMS, .cmdline = VLU_CMDLINE },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
