#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# distclean.sh: removes the cache, when nobody is building in it.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

[ -d "$CACHE" ] || exit 0
lock
rm -rf "${CACHE:?}"
say "removed $CACHE"
