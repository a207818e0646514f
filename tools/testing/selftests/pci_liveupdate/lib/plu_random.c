// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of PCI Live Update: what is left to chance, and can be had again.
 */

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "plu.h"

static __u64 state;

/* SplitMix64: good enough, and any number will do to begin with. */
static __u64 next(void)
{
	__u64 z = state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;

	return z ^ z >> 31;
}

__u64 plu_seed(void)
{
	struct timespec now;
	char value[32];

	if (plu_cmdline("plu.seed", value, sizeof(value)))
		return strtoull(value, NULL, 0);
	clock_gettime(CLOCK_REALTIME, &now);
	state = now.tv_sec * 1000000000ULL + now.tv_nsec;

	return next() & 0xffffffff;
}

void plu_seed_random(__u64 seed)
{
	state = seed;
}

__u64 plu_random(__u64 below)
{
	return below ? next() % below : next();
}

unsigned int plu_nr_jumps(void)
{
	char value[16];

	return (plu_cmdline("plu.jumps", value, sizeof(value)) ? atoi(value) : 4) + 1;
}
