#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# kmake.sh ARGUMENT...: kbuild itself, in the work tree brought up to date, with the compilers that are used here.
# For looking at one thing: kmake.sh prepare (all of rust/), kmake.sh drivers/pci/liveupdate/, kmake.sh menuconfig.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/toolchain.sh"
. "$(dirname "$0")/tree.sh"

lock
use_toolchain
find_base
update_tree
rm -f "$BASE/$VARIANT/built"
"${KMAKE[@]}" -C "$SOURCE" O="$BASE/$VARIANT" "$@"
