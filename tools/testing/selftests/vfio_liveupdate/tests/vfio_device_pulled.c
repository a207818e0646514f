// SPDX-License-Identifier: GPL-2.0
/*
 * A device can be pulled out, or its slot be switched off, between any two calls of who
 * hands it over to the next kernel, or takes it over from the old one, also if he lives and
 * lets go of it when he is asked to, or later, or was killed before. All that it was together
 * with in a session is handed over and taken over without it. What waits for a user who does
 * not let go is not the machine: its kernel is not replaced as long as that lasts.
 *
 * plu.round=, from 0 to 7, chooses how that ends, and for which device of a session: with all
 * of these numbers, it ends in each way for each of them between any two calls.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vlu.h"

/* After each call of who hands over a device, and after each number of calls of who takes over */
#define NR_OLD_CALLS	8
/* After the first call it is open, after the last one preserved: its user holds on to it. */
#define NR_HELD		2
#define NR_OLD		(NR_OLD_CALLS + NR_HELD)
#define NR_CALLS_1	12
#define NR_CALLS_2	16
#define NR_NEW_1	(NR_CALLS_1 + 1)
#define NR_NEW_2	(NR_CALLS_2 + 1)
#define NR_NEW		(NR_NEW_1 + NR_NEW_2)
#define NR_VMS		(NR_OLD + NR_NEW)
/* In a session, the first device is pulled out in the old kernel, too. */
#define NR_VM_DEVICES	(2 * NR_OLD + NR_NEW_1 + 2 * NR_NEW_2)
#define UNRELATED	(&plu.dev[NR_VM_DEVICES])
#define NR_DEVICES	(NR_VM_DEVICES + 1)

static const char *topology(void)
{
	return vlu_slots(NR_DEVICES);
}

enum end { GOES_ON, KILLED, SWITCHED_OFF_AND_GOES_ON, KILLED_BEFORE, NR_ENDS };

static const char * const ends[] = {
	[GOES_ON]			= "pulled out, and its user goes on",
	[KILLED]			= "pulled out, and its user is killed",
	[SWITCHED_OFF_AND_GOES_ON]	= "switched off, and its user goes on",
	[KILLED_BEFORE]			= "pulled out when its user was killed",
};

static struct moment {
	struct vlu_vm vm;
	unsigned int nr_calls;
	enum end end;
	unsigned int victim;
	bool can_be_had;	/* what is left of its session, by its name */
} moments[NR_VMS];

static void set_moments(void)
{
	struct plu_device *d = plu.dev;
	char value[16];
	unsigned int round = 0;

	if (plu_cmdline("plu.round", value, sizeof(value)))
		round = strtoul(value, NULL, 0);

	for (unsigned int i = 0; i < NR_VMS; i++) {
		struct moment *m = &moments[i];

		snprintf(m->vm.session, sizeof(m->vm.session), "vm%u", i);
		m->vm.number = i;
		if (i < NR_OLD) {
			m->vm.nr_devices = 2;
			m->nr_calls = i < NR_OLD_CALLS ? i + 1 :
				      i == NR_OLD_CALLS ? 1 : NR_OLD_CALLS;
		} else if (i < NR_OLD + NR_NEW_1) {
			m->vm.nr_devices = 1;
			m->nr_calls = i - NR_OLD;
		} else {
			m->vm.nr_devices = 2;
			m->nr_calls = i - NR_OLD - NR_NEW_1;
		}
		m->end = (m->nr_calls + round) % NR_ENDS;
		/* In the old kernel, the first one is its agent's. */
		m->victim = i < NR_OLD ? 0 : (m->nr_calls + round / NR_ENDS) % m->vm.nr_devices;
		for (unsigned int n = 0; n < m->vm.nr_devices; n++)
			m->vm.dev[n] = d++;
	}
}

static struct plu_device *victim(const struct moment *m)
{
	return m->vm.dev[m->victim];
}

static bool is_gone(void *d)
{
	return !vlu_is_there(d);
}

static bool switch_off(void *d)
{
	return !vlu_switch_off(d);
}

static bool remove_and_find_unrelated(void *unused)
{
	return !vlu_remove(UNRELATED) && !vlu_is_there(UNRELATED) && !vlu_rescan(UNRELATED) &&
	       vlu_is_there(UNRELATED);
}

/* Its agent has made some calls. */
static bool pull_out(const struct moment *m)
{
	struct plu_device *d = victim(m);
	bool good = true;
	int off = 0;

	if (m->end == KILLED_BEFORE)
		good = vlu_kill_agent();
	if (m->end == SWITCHED_OFF_AND_GOES_ON)
		off = vlu_begin(switch_off, d);
	else
		plu_pull_out(plu_upstream(d, 0));
	good &= plu_wait_for(vlu_is_leaving, d);
	if (m->end == KILLED)
		good &= vlu_kill_agent();
	else if (m->end != KILLED_BEFORE)
		good &= vlu_dismiss_agent();
	good &= plu_wait_for(is_gone, d);
	if (off)
		good &= vlu_ends("switching it off", off);

	return good && vlu_does("having another device removed and found",
				remove_and_find_unrelated, NULL);
}

/* --- The old kernel ------------------------------------------------------------------ */

static struct iommu *iommu;

/* The first device of a session is its agent's. */
static struct vlu_vm agents_part(const struct moment *m)
{
	struct vlu_vm part = m->vm;

	part.nr_devices = 1;

	return part;
}

static bool lose(struct moment *m)
{
	const struct vlu_vm part = agents_part(m);
	const struct vlu_progress *progress;

	return vlu_start_agent(VLU_HANDS_OVER, &part, m->nr_calls, &progress) && pull_out(m);
}

/* Its user does not let go of it. */
static bool is_jump_refused(struct moment *m)
{
	const struct vlu_vm part = agents_part(m);
	const struct vlu_progress *progress;
	char message[128];
	bool good;
	int ret;

	good = vlu_start_agent(VLU_HANDS_OVER, &part, m->nr_calls, &progress);
	plu_pull_out(plu_upstream(victim(m), 0));
	good &= plu_wait_for(vlu_is_leaving, victim(m));
	snprintf(message, sizeof(message), "%s: liveupdate: cannot replace the kernel",
		 victim(m)->bdf);
	ret = plu_reboot();
	if (ret != -EBUSY || !plu_says_once(message)) {
		plu_say("jumping gives %d", ret);
		good = false;
	}

	return vlu_dismiss_agent() && plu_wait_for(is_gone, victim(m)) && good;
}

static void kernel_a(void)
{
	vlu_load_driver(false);
	vlu_find_all(NR_DEVICES);
	set_moments();
	iommu = iommu_init("iommufd");
	for (struct moment *m = moments; m < moments + NR_VMS; m++) {
		vlu_preserve_memory(&m->vm);
		for (unsigned int n = 0; n < m->vm.nr_devices; n++) {
			vlu_bind(m->vm.dev[n]);
			if (m < moments + NR_OLD && !n)
				continue;
			vlu_open(m->vm.dev[n], iommu);
			plu_preserve(m->vm.outgoing_session, m->vm.dev[n]);
		}
	}
	for (struct moment *m = moments; m < moments + NR_OLD; m++) {
		if (m < moments + NR_OLD_CALLS)
			plu_ok(lose(m), "%u of %u calls, then it is %s", m->nr_calls, NR_OLD_CALLS,
			       ends[m->end]);
		else
			plu_ok(is_jump_refused(m), "%u of %u calls, no jump until it is let go",
			       m->nr_calls, NR_OLD_CALLS);
	}
	for (struct moment *m = moments; m < moments + NR_OLD; m++)
		plu_set_absent(victim(m));
	plu_ok(plu_is_consistent(), "the others are preserved");
}

/* --- The new kernel ------------------------------------------------------------------ */

static bool lose_again(struct moment *m)
{
	const struct vlu_progress *progress;
	bool good;

	good = vlu_start_agent(VLU_TAKES_OVER, &m->vm, m->nr_calls, &progress) && pull_out(m);
	m->can_be_had = !vlu_asked_for_all(&m->vm, progress);

	return good;
}

/* Nothing is left if everything was asked for. */
static bool have_rest(struct moment *m)
{
	const struct vlu_progress *progress;
	bool good = true;

	if (m->can_be_had) {
		m->vm.gone[m->victim] = true;
		good = vlu_start_agent(VLU_TAKES_OVER, &m->vm,
				       vlu_nr_calls(VLU_TAKES_OVER, m->vm.nr_devices),
				       &progress);
		good &= vlu_kill_agent();
	}

	return good && plu_try_retrieve_session(m->vm.session) == -ENOENT;
}

/* Of a session that has lost its device in the old kernel */
static bool have_other(struct moment *m)
{
	const struct vlu_progress *progress;
	struct vlu_vm rest = m->vm;
	bool good;

	rest.nr_devices = 1;
	rest.dev[0] = m->vm.dev[1];
	good = vlu_start_agent(VLU_TAKES_OVER, &rest, vlu_nr_calls(VLU_TAKES_OVER, 1), &progress);

	return vlu_kill_agent() && good;
}

static void kernel_b(void)
{
	vlu_load_driver(false);
	vlu_find_all(NR_DEVICES);
	set_moments();
	for (struct moment *m = moments; m < moments + NR_OLD; m++)
		plu_ok(have_other(m), "a session has lost its device, and nothing else");
	for (struct moment *m = moments + NR_OLD; m < moments + NR_VMS; m++)
		plu_ok(lose_again(m), "%u of %u calls for %u, then it is %s", m->nr_calls,
		       vlu_nr_calls(VLU_TAKES_OVER, m->vm.nr_devices), m->vm.nr_devices,
		       ends[m->end]);
	for (struct moment *m = moments + NR_OLD; m < moments + NR_VMS; m++)
		plu_ok(have_rest(m), "what is left after %u calls can be had", m->nr_calls);
	plu_ok(plu_is_consistent(), "and nothing else is left");
	for (struct moment *m = moments + NR_OLD; m < moments + NR_VMS; m++)
		plu_set_absent(victim(m));
}

static void kernel_c(void)
{
	vlu_load_driver(false);
	vlu_find_all(NR_DEVICES);
	plu_ok(true, "the kernel was replaced once more");
}

static const struct plu_test test = {
	.name = "vfio_device_pulled",
	.qemu = topology,
	.stage = {
		{ .run = kernel_a, .plan = NR_OLD + 1, .cmdline = VLU_CMDLINE },
		{ .run = kernel_b, .plan = NR_OLD + 2 * NR_NEW + 1, .cmdline = VLU_CMDLINE },
		{ .run = kernel_c, .plan = 1, .cmdline = VLU_CMDLINE },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
