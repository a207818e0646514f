// SPDX-License-Identifier: GPL-2.0
/*
 * What pci_liveupdate_lock does, with another device at the same time.
 */

#include "../../pci_liveupdate/modules/pci_liveupdate_lock.c"
