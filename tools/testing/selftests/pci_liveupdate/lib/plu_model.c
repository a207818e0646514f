// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of PCI Live Update: the model of the devices and bridges, and what follows for
 * it from what happens.
 *
 * A bridge is outgoing, or incoming, as long as a device below it is, so that all of
 * that is worked out from the devices.
 */

#include <stdlib.h>
#include <string.h>

#include "plu.h"

struct plu_model plu;

static struct plu_device *find_in(struct plu_device *d, struct plu_device *end,
				  const char *bdf)
{
	for (; d < end; d++)
		if (!strcmp(d->bdf, bdf))
			return d;

	return NULL;
}

struct plu_device *plu_find(const char *bdf)
{
	return find_in(plu.dev, plu_end(), bdf) ?:
	       find_in(plu.bridge, plu_bridges_end(), bdf);
}

struct plu_device *plu_at(const char *path)
{
	struct plu_device *d;

	for (d = plu.dev; d < plu_end(); d++)
		if (!strcmp(d->path, path))
			return d;
	for (d = plu.bridge; d < plu_bridges_end(); d++)
		if (!strcmp(d->path, path))
			return d;

	plu_bail("there is no device or bridge at %s", path);
}

unsigned int plu_level(const struct plu_device *d)
{
	unsigned int slashes = 0;

	/* "0000:00/05.0/00.0" */
	for (const char *c = d->path; *c; c++)
		slashes += *c == '/';

	return slashes - 1;
}

bool plu_is_below(const struct plu_device *d, const struct plu_device *bridge)
{
	size_t len = strlen(bridge->path);

	return !strncmp(d->path, bridge->path, len) && d->path[len] == '/';
}

struct plu_device *plu_upstream(const struct plu_device *d, unsigned int level)
{
	unsigned int own = plu_level(d);
	struct plu_device *b;

	for (b = plu.bridge; b < plu_bridges_end(); b++)
		if (plu_is_below(d, b) && plu_level(b) + level + 1 == own)
			return b;

	return NULL;
}

const char *plu_bridge_above(const struct plu_device *d, unsigned int level)
{
	const struct plu_device *b = plu_upstream(d, level);

	return b ? b->bdf : NULL;
}

bool plu_is_behind_bridge(const struct plu_device *d)
{
	return plu_level(d);
}

static bool is_at_or_below(const struct plu_device *d, const struct plu_device *top)
{
	return d == top || plu_is_below(d, top);
}

unsigned int plu_count_outgoing(const struct plu_device *top)
{
	const struct plu_device *d;
	unsigned int n = 0;

	for (d = plu.dev; d < plu_end(); d++)
		n += d->outgoing && is_at_or_below(d, top);

	return n;
}

unsigned int plu_count_incoming(const struct plu_device *top, enum plu_incoming state)
{
	const struct plu_device *d;
	unsigned int n = 0;

	for (d = plu.dev; d < plu_end(); d++)
		n += d->incoming == state && is_at_or_below(d, top);

	return n;
}

unsigned int plu_count_handed_over(const struct plu_device *top)
{
	const struct plu_device *d;
	unsigned int n = 0;

	for (d = plu.dev; d < plu_end(); d++)
		n += d->outgoing && !d->left_out && is_at_or_below(d, top);

	return n;
}

static unsigned int refcount_of(const struct plu_device *d, unsigned int below)
{
	int refcount = below + d->surplus;

	if (d->unrecorded || refcount < 0 || (!d->is_bridge && !below))
		return 0;

	return refcount;
}

unsigned int plu_incoming_refcount(const struct plu_device *d)
{
	return refcount_of(d, plu_count_incoming(d, PLU_INCOMING));
}

bool plu_is_recorded_as_finished(const struct plu_device *d)
{
	return !d->unrecorded && !plu_incoming_refcount(d) &&
	       plu_count_incoming(d, PLU_FINISHED);
}

void plu_set_outgoing(struct plu_device *d, bool outgoing)
{
	enum plu_message msg = outgoing ? PLU_MSG_OUTGOING : PLU_MSG_NOT_OUTGOING;
	struct plu_device *b;

	if (d->outgoing == outgoing)
		return;

	d->outgoing = outgoing;
	d->left_out = false;
	d->messages[msg]++;
	for (b = plu.bridge; b < plu_bridges_end(); b++)
		if (plu_is_below(d, b) && plu_count_outgoing(b) == outgoing)
			b->messages[msg]++;
}

void plu_set_left_out(void)
{
	struct plu_device *d;

	for (d = plu.dev; d < plu_end(); d++)
		d->outgoing &= !d->left_out;
}

void plu_set_finished(struct plu_device *d)
{
	struct plu_device *b;

	if (d->incoming != PLU_INCOMING)
		return;

	d->incoming = PLU_FINISHED;
	d->messages[PLU_MSG_FINISHED]++;
	for (b = plu.bridge; b < plu_bridges_end(); b++) {
		unsigned int left = plu_count_incoming(b, PLU_INCOMING);

		/* It is when its record says so. */
		if (plu_is_below(d, b) && refcount_of(b, left + 1) && !refcount_of(b, left))
			b->messages[PLU_MSG_FINISHED]++;
	}
}

static void expect_found(struct plu_device *d, const struct plu_device *end)
{
	for (; d < end; d++)
		d->messages[PLU_MSG_PRESERVED] =
			!d->absent && plu_incoming_refcount(d);
}

void plu_expect_found(void)
{
	expect_found(plu.dev, plu_end());
	expect_found(plu.bridge, plu_bridges_end());
}

static void set_absent(struct plu_device *d)
{
	if (d->absent)
		return;
	d->absent = true;
	d->left_out = d->outgoing;
	d->cookie = 0;
	d->messages[PLU_MSG_REMOVED_OUTGOING] += !!plu_count_outgoing(d);
	d->messages[PLU_MSG_REMOVED_INCOMING] += !!plu_incoming_refcount(d);
	d->stopped = !d->is_bridge && plu_incoming_refcount(d);
	d->retrieved = false;
	d->taken_over = false;
}

static void set_present(struct plu_device *d)
{
	if (!d->absent)
		return;
	d->absent = false;
	d->stopped &= !!plu_incoming_refcount(d);
	d->messages[PLU_MSG_PRESERVED] += !!plu_incoming_refcount(d);
}

static void walk(const struct plu_device *top, void (*call)(struct plu_device *d))
{
	struct plu_device *d;

	for (d = plu.dev; d < plu_end(); d++)
		if (is_at_or_below(d, top))
			call(d);
	for (d = plu.bridge; d < plu_bridges_end(); d++)
		if (is_at_or_below(d, top))
			call(d);
}

void plu_set_absent(struct plu_device *d)
{
	walk(d, set_absent);
}

void plu_set_present(struct plu_device *d)
{
	walk(d, set_present);
}
