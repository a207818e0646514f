// SPDX-License-Identifier: GPL-2.0
/*
 * With panic_on_warn=1 a hand-over that cannot be read stops the machine when it is read,
 * before anything that it is about can be disturbed. One that lies in a way that harms
 * nobody does not.
 */

#include <string.h>

#include "plu.h"

#define BRIDGE	"0000:00/05.0"

static void count_one_more(struct plu_handover *h)
{
	plu_record_of(h, plu_at(BRIDGE))->refcount++;
}

static void believe_one_more(void)
{
	plu_at(BRIDGE)->surplus = 1;
}

static void be_newer(struct plu_handover *h)
{
	h->header.version++;
	plu_expect_unreadable("version 3, not 2");
}

static const struct plu_lie readable = { "one more below a bridge", count_one_more,
					 believe_one_more };
static const struct plu_lie unreadable = { "a newer version", be_newer };

static void first(void)
{
	plu_find_devices(2);
	plu_check("nothing is handed over yet");
	plu_preserve_and_lie(&readable, NULL);
}

static void second(void)
{
	char value[8];

	plu_find_lie(&readable);
	plu_ok(plu_cmdline("panic_on_warn", value, sizeof(value)) && !strcmp(value, "1"),
	       "the kernel would stop if it warned");
	plu_preserve_and_lie(&unreadable, NULL);
	plu_announce_panic("panic_on_warn set");
}

static void never(void)
{
	plu_ok(false, "the kernel did not stop");
}

#define PANIC_ON_WARN	PLU_LIE_CMDLINE " panic_on_warn=1"

static const struct plu_test test = {
	.name = "panic_on_warn",
	.stage = {
		{ .run = first, .plan = PLU_LIE_FIRST },
		{ .run = second, .plan = PLU_LIE_NEXT + 1, .cmdline = PANIC_ON_WARN },
		{ .run = never, .plan = 1, .cmdline = PANIC_ON_WARN },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
