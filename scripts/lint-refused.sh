#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# lint-refused.sh: programs in safe Rust that would break memory, scripts/refused/, do not compile, and for the reason
# that each names in its first line: the compiler's number of the error, or "compiles" for the one that shows that it
# isn't something else that is in their way.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/toolchain.sh"
. "$(dirname "$0")/tree.sh"

use_toolchain
find_base
mkdir "$SCRATCH/refused"
cp "$TOP"/scripts/refused/*.rs "$SCRATCH/refused"
(cd "$SCRATCH/refused" && printf 'obj-m += %s\n' *.rs | sed 's/[.]rs$/.o/' >Kbuild)

for file in "$SCRATCH"/refused/*.rs; do
	name=$(basename "$file" .rs)
	wanted=$(sed -n 's,^//! \([A-Za-z0-9]*\): .*,\1,p' "$file" | head -n 1)
	found=compiles
	"${KMAKE[@]}" -C "$SOURCE" O="$BASE/main" M="$SCRATCH/refused" "$name.o" >"$SCRATCH/log" 2>&1 ||
		found=$(sed -n 's/^error\[\(E[0-9]*\)\].*/\1/p' "$SCRATCH/log" | sort -u | paste -sd ' ')
	[ "$found" = "$wanted" ] || { echo "$name.rs is to be refused with $wanted, and is with ${found:-nothing}:"; grep -A 8 '^error' "$SCRATCH/log" || true; }
done
