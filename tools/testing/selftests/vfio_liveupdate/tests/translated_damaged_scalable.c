// SPDX-License-Identifier: GPL-2.0
/*
 * See translated_damaged.c: the same in scalable mode.
 */

#define SCALABLE
#include "translated_damaged.c"
