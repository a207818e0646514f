// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of live update with vfio-pci: USB controllers (UHCI) behind an IOMMU.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "translated.h"

#define DEBUGFS		"/sys/kernel/debug/iommu_liveupdate"

struct plu_device *controller_device(const struct controller *c)
{
	for (struct plu_device *d = plu.dev; d < plu_end(); d++)
		if (!strcmp(d->bdf, c->bdf))
			return d;
	plu_bail("there is no USB controller %s", c->bdf);
}

/* --- Memory ------------------------------------------------------------------- */

/* Where a page is, which need not be mapped yet. */
static __u64 find_page(const void *page)
{
	(void)__atomic_load_n((const char *)page, __ATOMIC_RELAXED);

	return plu_physical(page);
}

/* Memory that is preserved may be moved for that, once. */
static void make_canary(struct controller *c)
{
	int session = plu_session("canary");

	vlu_create_memory(&c->canary, NULL, TRANSLATED_SIZE, 0);
	memset(c->canary.region.vaddr, 0, TRANSLATED_SIZE);
	if (plu_try_preserve(session, c->canary.fd, c->token))
		plu_bail("memory can't be preserved");
	plu_close_session(session);
}

static void map_pages(struct controller *c, struct iommu *iommu)
{
	for (unsigned int i = 0; i < TRANSLATED_PAGES; i++) {
		unsigned long offset = i * TRANSLATED_PAGE;

		c->page[i] = (struct dma_region){
			.vaddr = c->memory.region.vaddr + offset,
			.size = TRANSLATED_PAGE,
			.iova = c->iova ? c->iova + offset :
					  find_page(c->canary.region.vaddr + offset),
		};
		if (iommu)
			iommu_map(iommu, &c->page[i]);
	}
	c->schedule = c->memory.region.vaddr;
}

void unmap_memory(struct controller *c, struct iommu *iommu)
{
	for (unsigned int i = 0; i < TRANSLATED_PAGES; i++)
		iommu_unmap(iommu, &c->page[i]);
}

int preserve_memory(int session, struct controller *c)
{
	int ret = plu_try_preserve(session, c->memory.fd, c->token);

	if (ret || c->iova)
		return ret;

	return plu_try_preserve(session, c->canary.fd, c->token + 1);
}

void retrieve_memory(int session, struct controller *c, struct iommu *iommu)
{
	vlu_retrieve_memory(&c->memory, NULL, TRANSLATED_SIZE, 0, session, c->token);
	if (!c->iova)
		vlu_retrieve_memory(&c->canary, NULL, TRANSLATED_SIZE, 0, session, c->token + 1);
	map_pages(c, iommu);
}

/* Whose memory is_at() is asked for */
static const struct controller *prepared;

static __u32 is_at(const void *p)
{
	unsigned long offset = p - prepared->memory.region.vaddr;

	return prepared->page[offset / TRANSLATED_PAGE].iova + offset % TRANSLATED_PAGE;
}

void prepare_again(struct controller *c)
{
	prepared = c;
	uhci_prepare_at(controller_device(c), c->schedule, false, is_at);
	/* It may have been running until it was told where that is. */
	uhci_arm(c->schedule);
	if (!c->iova)
		memcpy(c->canary.region.vaddr, c->schedule, TRANSLATED_SIZE);
}

struct vfio_pci_device *prepare_controller(struct controller *c, struct iommu *iommu)
{
	struct vfio_pci_device *v;

	vlu_bind(controller_device(c));
	v = vlu_open(controller_device(c), iommu);
	vlu_create_memory(&c->memory, NULL, TRANSLATED_SIZE, 0);
	memset(c->memory.region.vaddr, 0, TRANSLATED_SIZE);
	if (!c->iova)
		make_canary(c);
	map_pages(c, iommu);
	prepare_again(c);
	if (vlu_set_feature(v->fd, VFIO_DEVICE_LIVEUPDATE_RUNNING))
		plu_bail("it can't keep running");

	return v;
}

struct vfio_pci_device *retrieve_controller(int session, struct controller *c,
					    struct iommu *iommu)
{
	/* Its entry is cleared, and then set. */
	expect_faults();

	return vlu_retrieve(session, controller_device(c), iommu);
}

bool has_canary(const struct controller *c)
{
	const struct uhci_schedule *canary = c->canary.region.vaddr;

	return c->iova || !uhci_done(canary);
}

/* --- Frames ------------------------------------------------------------------- */

void start_controller(const struct controller *c)
{
	struct plu_device device = { };

	memcpy(device.bdf, c->bdf, sizeof(device.bdf));
	uhci_start(&device);
}

unsigned int frame(const struct controller *c)
{
	return uhci_read(controller_device(c), UHCI_FRAME) % TRANSLATED_NUMBERS;
}

bool is_ahead(void *c)
{
	return frame(c) > TRANSLATED_FIRST;
}

static unsigned int passed(unsigned int from, unsigned int to)
{
	return (to - from) % TRANSLATED_NUMBERS;
}

unsigned int count_lost(const struct controller *c, unsigned int from, unsigned int to)
{
	unsigned int n = 0;

	for (unsigned int i = from; i != to; i = (i + 1) % TRANSLATED_NUMBERS)
		if (!uhci_has_done(c->schedule, i % UHCI_NR_FRAMES) && !n++)
			plu_say("the first that was lost is %u", i);

	return n;
}

struct wait {
	const struct controller *c;
	unsigned int from;
};

static bool have_passed(void *arg)
{
	const struct wait *wait = arg;

	return passed(wait->from, frame(wait->c)) > TRANSLATED_FIRST;
}

bool is_silent(const struct controller *c)
{
	struct wait wait = { c, frame(c) };

	uhci_arm(c->schedule);
	if (!plu_wait_for(have_passed, &wait))
		plu_bail("its frames do not go on");

	return !uhci_done(c->schedule);
}

bool is_stopped(const struct controller *c)
{
	uhci_arm(c->schedule);
	usleep(50000);

	return !uhci_done(c->schedule);
}

void goes_on(struct controller *c, const char *what)
{
	unsigned int from, to;

	uhci_arm(c->schedule);
	from = (frame(c) + 1) % TRANSLATED_NUMBERS;
	usleep(200000);
	to = frame(c);
	plu_ok(to != from && !count_lost(c, from, to) && has_canary(c),
	       "%s: it writes from %u to %u", what, from, to);
}

void lost_nothing_since(struct controller *c, unsigned int from)
{
	unsigned int to = frame(c);

	/* It has come round on the way to such a slow kernel: each was written at least once. */
	if (plu_exists("/sys/kernel/debug/kmemleak"))
		to = (from + UHCI_NR_FRAMES - 1) % TRANSLATED_NUMBERS;
	plu_ok(passed(from, to) > TRANSLATED_FIRST && passed(from, to) < UHCI_NR_FRAMES &&
	       !count_lost(c, from, to) && has_canary(c),
	       "it has written %u times, and lost nothing over the jump", passed(from, to));
}

void lost_nothing_over_jump(struct controller *c)
{
	lost_nothing_since(c, 0);
}

/* --- What the kernel says ------------------------------------------------------ */

bool is_in_state(const struct controller *c, const char *file, const char *state)
{
	char path[64], text[4096], word[32], *line;

	snprintf(path, sizeof(path), DEBUGFS "/%s", file);
	if (plu_read_file(path, text, sizeof(text)) < 0)
		plu_bail("cannot read %s", path);

	line = strstr(text, c->bdf);
	if (!line)
		return !*state;

	snprintf(word, sizeof(word), " state=%s", state);
	line[plu_until(line, '\n')] = '\0';
	line = strstr(line, word);

	return *state && line && strchr(" ", line[strlen(word)]);
}

void expect_faults(void)
{
	plu_announce_possible("DMAR: [DMA");
	plu_announce_possible("DMAR: DRHD: handling fault status");
}

/* --- The whole way --------------------------------------------------------------- */

void whole_way_a(struct controller *c, const char *name)
{
	int session;

	vlu_load_driver(false);
	plu_find_devices(1);
	prepare_controller(c, iommu_init("iommufd"));
	start_controller(c);
	plu_ok(plu_wait_for(is_ahead, c), "it runs");
	goes_on(c, "translated");
	prepare_again(c);

	session = plu_session(name);
	plu_gives(preserve_memory(session, c), 0, "memory is preserved");
	plu_preserve(session, controller_device(c));
	plu_check("it is outgoing");
	plu_ok(is_in_state(c, "outgoing", "preserved"), "and preserved");
}

void whole_way_b(struct controller *c, const char *name)
{
	struct vfio_pci_device *v;
	unsigned int from, to;
	struct iommu *iommu;
	int session;

	vlu_load_driver(false);
	plu_take_over();
	vlu_bind(controller_device(c));
	session = plu_retrieve_session(name);
	iommu = iommu_init("iommufd");
	retrieve_memory(session, c, iommu);
	lost_nothing_over_jump(c);
	goes_on(c, "before it is retrieved");
	plu_ok(is_in_state(c, "incoming", "restored"), "it has its old page table");

	plu_gives(vlu_try_finish(session), -EBUSY, "its session can't be finished");
	uhci_arm(c->schedule);
	from = (frame(c) + 1) % TRANSLATED_NUMBERS;
	v = retrieve_controller(session, c, iommu);
	to = frame(c);
	/* As the entry is cleared and set, some may be. */
	plu_say("%u of %u lost while it was attached", count_lost(c, from, to), passed(from, to));
	goes_on(c, "attached to a new page table");
	plu_ok(is_in_state(c, "incoming", "replaced"), "it has its old page table no more");
	plu_gives(vlu_try_finish(session), 0, "now its session can be finished");
	goes_on(c, "finished");

	unmap_memory(c, iommu);
	plu_ok(is_silent(c) && has_canary(c), "the new page table is in force");
	vfio_pci_device_cleanup(v);
}
