// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of PCI Live Update: what is written for the next kernel, hand-overs that are
 * damaged, in memory, after that, and what becomes of them in the next kernel.
 *
 * Those that cannot be read: the kernel says why, once, and loudly, takes no device for
 * incoming, keeps all bridges as they are, and leaves the memory alone. Those that can be
 * read, though they lie: what is said in Documentation/PCI/liveupdate.rst.
 */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include "plu.h"

#define SESSION		"damaged"
/* Nobody retrieves it: what it preserves is for the PCI core. */
#define BLOCK_SESSION	"damaged-block"

/* Not what a kernel would make it, and least of all this one, which is told another. */
#define OUR_ACS		(PCI_ACS_SV | PCI_ACS_CR)

/* What the next stage has to know of it. */
#define TOLD_SESSION	"damaged-told"

static struct told {
	char text[PLU_TEXT_SIZE];
	struct plu_handover handover;
} *told;

/* --- The hand-over --------------------------------------------------------- */

static bool read_block(struct plu_handover *h, __u64 at)
{
	struct plu_block *block = &h->block[h->nr_blocks];

	if (h->nr_blocks == PLU_MAX_BLOCKS || at % getpagesize())
		return false;
	plu_read_memory(at, block, sizeof(*block));
	h->block_at[h->nr_blocks++] = at;

	return block->count && block->count <= PLU_PER_BLOCK;
}

static bool read_handover(struct plu_handover *h)
{
	__u64 at;

	h->header_at = plu_status_address("outgoing_address");
	h->nr_blocks = 0;
	if (!h->header_at)
		return false;
	plu_read_memory(h->header_at, &h->header, sizeof(h->header));
	for (at = h->header.devices; at; at = h->block[h->nr_blocks - 1].next)
		if (!read_block(h, at))
			return false;

	return true;
}

static void write_handover(const struct plu_handover *h)
{
	plu_write_memory(h->header_at, &h->header, sizeof(h->header));
	for (unsigned int i = 0; i < h->nr_blocks; i++)
		plu_write_memory(h->block_at[i], &h->block[i], sizeof(h->block[i]));
}

/* Memory that is preserved, and stays where it is. Give it a session of its own. */
static void *preserve_memory(const char *name, size_t size)
{
	char *memory;
	int fd, ret;

	fd = memfd_create(name, 0);
	if (fd < 0 || ftruncate(fd, size))
		plu_bail("memfd: %s", strerror(errno));
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		plu_bail("mmap: %s", strerror(errno));
	memset(memory, 1, size);
	ret = plu_try_preserve(plu_session(name), fd, 1);
	if (ret)
		plu_bail("cannot preserve memory: %s", strerror(-ret));
	memset(memory, 0, size);

	return memory;
}

/* A page that the next kernel can have as a block. */
static __u64 spare_block_at;

void plu_split_block(struct plu_handover *h)
{
	struct plu_block *from = &h->block[0], *to = &h->block[h->nr_blocks];
	unsigned int moved = from->count / 2;

	if (h->nr_blocks == PLU_MAX_BLOCKS || !moved)
		plu_bail("the block cannot be split");

	memset(to, 0, sizeof(*to));
	h->block_at[h->nr_blocks] = spare_block_at;
	to->next = from->next;
	to->count = moved;
	from->next = h->block_at[h->nr_blocks];
	from->count -= moved;
	memcpy(to->record, from->record + from->count, moved * sizeof(*to->record));
	memset(from->record + from->count, 0, moved * sizeof(*to->record));
	h->nr_blocks++;
}

void plu_set_address(struct plu_record *record, const char *bdf)
{
	/* "0000:04:00.0" */
	unsigned int bus = strtoul(bdf + 5, NULL, 16);
	unsigned int slot = strtoul(bdf + 8, NULL, 16);

	record->domain = strtoul(bdf, NULL, 16);
	record->bdf = bus << 8 | slot << 3 | (bdf[11] - '0');
}

void plu_get_address(const struct plu_record *record, char bdf[PLU_BDF_SIZE])
{
	snprintf(bdf, PLU_BDF_SIZE, "%04x:%02x:%02x.%u", record->domain, record->bdf >> 8,
		 record->bdf >> 3 & 0x1f, record->bdf & 7);
}

struct plu_record *plu_record_of(struct plu_handover *h, const struct plu_device *d)
{
	struct plu_record wanted;

	plu_set_address(&wanted, d->bdf);
	for (unsigned int i = 0; i < h->nr_blocks; i++) {
		for (unsigned int n = 0; n < h->block[i].count; n++) {
			struct plu_record *record = &h->block[i].record[n];

			if (record->domain == wanted.domain && record->bdf == wanted.bdf &&
			    record->refcount)
				return record;
		}
	}

	plu_bail("%s has no record", d->bdf);
}

void plu_add_record(struct plu_handover *h, const struct plu_device *d)
{
	struct plu_block *block = &h->block[h->nr_blocks - 1];
	struct plu_record *record = &block->record[block->count];

	if (!h->nr_blocks || block->count == PLU_PER_BLOCK)
		plu_bail("there is no room for one more record");
	plu_set_address(record, d->bdf);
	record->refcount = 1;
	block->count++;
	h->header.nr_devices++;
}

/* --- What it should be ------------------------------------------------------- */

static void expect_records(struct plu_block *block, const struct plu_device *d,
			   const struct plu_device *end)
{
	for (; d < end; d++) {
		struct plu_record *record = &block->record[block->count];

		record->refcount = plu_count_handed_over(d);
		if (!record->refcount)
			continue;
		plu_set_address(record, d->bdf);
		block->count++;
	}
}

/* In any order, as those that are expected are all different. */
static bool has_record(const struct plu_block *block, const struct plu_record *record)
{
	for (unsigned int n = 0; n < block->count; n++)
		if (!memcmp(&block->record[n], record, sizeof(*record)))
			return true;

	return false;
}

/* There are never more than fit into a block: see PLU_MAX_DEVICES. */
static bool has_records(const struct plu_handover *h, const struct plu_block *expected)
{
	if (h->header.version != 2 || h->header.nr_devices != expected->count ||
	    h->nr_blocks != !!expected->count)
		return false;
	if (!expected->count)
		return true;
	if (h->block[0].count != expected->count)
		return false;
	for (unsigned int n = 0; n < expected->count; n++)
		if (!has_record(&h->block[0], &expected->record[n]))
			return false;

	return true;
}

static void say_records(const char *what, const struct plu_block *block)
{
	for (unsigned int n = 0; n < block->count; n++)
		plu_say("%s: %x, %x, %u", what, block->record[n].domain,
			block->record[n].bdf, block->record[n].refcount);
}

static void read_and_check(struct plu_handover *h)
{
	static struct plu_block expected;
	bool is_read = read_handover(h);

	memset(&expected, 0, sizeof(expected));
	expect_records(&expected, plu.dev, plu_end());
	expect_records(&expected, plu.bridge, plu_bridges_end());
	if (is_read && has_records(h, &expected))
		return;

	plu_say("version %u, %u devices, %u blocks", h->header.version, h->header.nr_devices,
		h->nr_blocks);
	if (is_read && h->nr_blocks)
		say_records("is", &h->block[0]);
	say_records("should be", &expected);
	plu_bail("what is written for the next kernel is not what it should be");
}

void plu_check_written(void)
{
	static struct plu_handover handover;

	read_and_check(&handover);
}

/* --- Before the jump ------------------------------------------------------- */

void plu_expect_unreadable(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(plu.text, sizeof(plu.text), fmt, args);
	va_end(args);
}

static bool any_reason(void)
{
	return !strcmp(plu.text, PLU_ANY_REASON);
}

static void set_acs(struct plu_device *b)
{
	unsigned int pos = plu_ext_capability(b->bdf, PCI_EXT_CAP_ID_ACS);

	if (pos)
		plu_config_write(b->bdf, pos + PCI_ACS_CTRL, 2, OUR_ACS);
}

static bool is_left_alone(const struct plu_device *d, const char *left_alone)
{
	return left_alone && !strcmp(d->path, left_alone);
}

static const struct plu_lie *lie_to_tell;

static void tell(void)
{
	struct plu_handover *h = &told->handover;

	read_and_check(h);
	plu.text[0] = '\0';
	lie_to_tell->tell(h);
	memcpy(told->text, plu.text, sizeof(told->text));
	write_handover(h);
	if (!plu.text[0])
		return;
	plu_announce("the hand-over cannot be read: %s", any_reason() ? "" : plu.text);
	plu_announce("drivers/pci/liveupdate/");
}

void plu_tell(const struct plu_lie *lie)
{
	told = preserve_memory(TOLD_SESSION, sizeof(*told));
	spare_block_at = plu_physical(preserve_memory(BLOCK_SESSION, getpagesize()));
	lie_to_tell = lie;
	plu_when_written(tell);
}

void plu_preserve_and_lie(const struct plu_lie *lie, const char *left_alone)
{
	struct plu_device *d;
	int session;

	for (d = plu.bridge; d < plu_bridges_end(); d++)
		set_acs(d);
	session = plu_session(SESSION);
	for (d = plu.dev; d < plu_end(); d++) {
		if (is_left_alone(d, left_alone) || d->absent)
			continue;
		plu_set_cookie(d, 0xbadc0de00 + plu.stage);
		plu_preserve(session, d);
	}
	if (!plu_is_as_expected())
		plu_bail("%s: what is preserved is not as it should be", lie->name);
	if (lie->prepare)
		lie->prepare();
	plu_tell(lie);
}

/* --- After it --------------------------------------------------------------- */

static bool is_set_up_as_it_was(const struct plu_device *b)
{
	struct plu_routing now = plu_read_routing(b->bdf);

	if (now.acs == b->handed.acs && now.ari == b->handed.ari &&
	    now.bus_master == b->handed.bus_master)
		return true;
	plu_say("%s: ACS is 0x%02x and was 0x%02x, ARI %d and %d, bus master %d and %d",
		b->bdf, now.acs, b->handed.acs, now.ari, b->handed.ari, now.bus_master,
		b->handed.bus_master);

	return false;
}

static bool warnings_are(unsigned int n)
{
	return plu_times_said("the hand-over cannot be read: ") == n &&
	       plu_times_said("WARNING: ") == n;
}

struct plu_handover *plu_told(void)
{
	return &told->handover;
}

static void recall(void)
{
	static struct told copy;
	int session, memfd;

	session = plu_retrieve_session(TOLD_SESSION);
	memfd = plu_retrieve_fd(session, 1);
	if (memfd < 0 || read(memfd, &copy, sizeof(copy)) != sizeof(copy))
		plu_bail("what was told cannot be read");
	close(memfd);
	close(session);
	told = &copy;
	memcpy(plu.text, copy.text, sizeof(plu.text));
	if (!copy.handover.header_at)
		plu_bail("nothing was told");
}

static bool is_header_kept(void)
{
	const struct plu_handover *h = &told->handover;

	return plu_page_is_kept(h->header_at, &h->header, sizeof(h->header));
}

/* What compares with the beginning of a block */
#define BEGINNING	64

static bool is_any_block_kept(void)
{
	const struct plu_handover *h = &told->handover;
	bool any = false;
	unsigned int i;

	for (__u64 at = h->header.devices; at; at = h->block[i].next) {
		for (i = 0; i < h->nr_blocks && h->block_at[i] != at; i++)
			;
		if (i == h->nr_blocks)
			plu_bail("a block that can be read is none of ours");
		any |= plu_page_is_kept(at, &h->block[i], BEGINNING);
	}

	return any;
}

/* The kernel may say of it what it likes, as long as it says the same everywhere. */
static void read_reason(void)
{
	static const char begin[] = "unreadable (";
	const char *status = plu_status("handover");

	if (!strncmp(status, begin, sizeof(begin) - 1))
		snprintf(plu.text, strlen(status) - (sizeof(begin) - 1), "%s",
			 status + sizeof(begin) - 1);
}

static void find_unreadable(const struct plu_lie *lie)
{
	static char handover[PLU_TEXT_SIZE + 16], message[PLU_TEXT_SIZE + 64];
	bool kept = true, refused = true;
	struct plu_device *d;
	int session;

	if (any_reason())
		read_reason();
	snprintf(handover, sizeof(handover), "unreadable (%s)", plu.text);
	snprintf(message, sizeof(message), "the hand-over cannot be read: %s", plu.text);
	plu.handover = handover;
	session = plu_retrieve_session(SESSION);
	for (d = plu.dev; d < plu_end(); d++) {
		if (d->incoming == PLU_INCOMING)
			refused &= plu_retrieve_fd(session, d->token) == -ENODEV;
		d->incoming = PLU_ORDINARY;
	}
	plu_expect_found();
	plu_check("%s: no device is incoming, every bridge is to be kept", lie->name);
	for (d = plu.bridge; d < plu_bridges_end(); d++)
		kept &= is_set_up_as_it_was(d);
	plu_ok(kept, "%s: every bridge is set up as it was", lie->name);
	plu_ok(refused, "%s: no device can be retrieved", lie->name);

	plu_finish(session);
	plu_close_session(session);
	if (plu_remove(&plu.dev[0]))
		plu_bail("%s: cannot be removed", plu.dev[0].bdf);
	plu_rescan();
	plu_check("%s: when all is finished, and a device is found again, it is the same",
		  lie->name);
	plu_ok(plu_says_once(message) && warnings_are(1), "%s: the kernel has said why, once",
	       lie->name);
	plu_ok(is_header_kept(), "%s: the memory is left alone", lie->name);
}

static bool retrieve_all(int session)
{
	struct plu_device *d;
	bool good = true;

	for (d = plu.dev; d < plu_end(); d++) {
		bool there = d->incoming == PLU_INCOMING && !d->absent;

		if (!d->has_file) {
			/* Its driver has it back though it has nothing to get back. */
			if (there)
				good &= !plu_command(d, "finish\n");
			if (there)
				plu_set_finished(d);
		} else if (there) {
			plu_retrieve(session, d);
			good &= plu_file_is(d->fd, d, d->handed_cookie);
		} else {
			good &= plu_retrieve_fd(session, d->token) == -ENODEV;
			d->incoming_session = session;
		}
	}

	return good;
}

static void find_readable(const struct plu_lie *lie)
{
	unsigned int nr_devices = plu.nr_devices;
	bool kept = true, given_back;
	struct plu_device *d;
	int session;

	/* All of it was read when the first device was found. */
	given_back = !is_header_kept() && !is_any_block_kept();
	if (lie->believe)
		lie->believe();
	plu_expect_found();
	plu_check("%s: what the records say is incoming", lie->name);
	for (d = plu.bridge; d < plu_bridges_end(); d++)
		if (plu_incoming_refcount(d))
			kept &= is_set_up_as_it_was(d);
	plu_ok(kept, "%s: bridges that have a record are set up as they were", lie->name);

	session = plu_retrieve_session(SESSION);
	plu_ok(retrieve_all(session),
	       "%s: devices that are incoming are retrieved and work, others are not",
	       lie->name);
	plu_finish(session);
	plu_check("%s: when all is finished, nothing is left", lie->name);
	plu_ok(warnings_are(0), "%s: the kernel has not warned", lie->name);
	plu_ok(given_back, "%s: the memory was given back", lie->name);
	plu_close_session(session);

	for (d = plu.dev; d < plu_end(); d++) {
		close(d->fd);
		d->fd = -1;
	}
	plu.nr_devices = nr_devices;
}

void plu_find_lie(const struct plu_lie *lie)
{
	plu_take_over_some();
	recall();
	if (plu.text[0])
		find_unreadable(lie);
	else
		find_readable(lie);
}

static const struct plu_lies *all_lies;

static void tell_and_find(void)
{
	const struct plu_lie *lie = &all_lies->lie[plu.stage - 1];

	if (plu.stage == 1) {
		plu_find_devices(2);
		plu_check("nothing is handed over yet");
	} else {
		plu_find_lie(lie - 1);
	}
	if (lie->name)
		plu_preserve_and_lie(lie, all_lies->left_alone);
}

/* One more than there are lies. */
static unsigned int nr_stages(void)
{
	unsigned int n = 0;

	while (all_lies->lie[n].name)
		n++;

	return n + 1;
}

int plu_lies_main(int argc, char *argv[], const struct plu_lies *lies)
{
	const struct plu_test test = {
		.name = lies->name,
		.qemu = lies->qemu,
		.stage = {
			{ .run = tell_and_find, .plan = PLU_LIE_FIRST },
			{
				.run = tell_and_find,
				.plan = PLU_LIE_NEXT,
				.cmdline = PLU_LIE_CMDLINE,
			},
		},
		.nr_stages = nr_stages,
	};

	all_lies = lies;

	return plu_main(argc, argv, &test);
}
