#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# bench-many.sh: what many devices cost, and DMA that an IOMMU translates, measured by the tests scale, vfio_resets,
# translated_cost and translated_many in the guest of bench.sh, GUEST.
# Prints "KEY VALUE -" for each figure, which is of one device, or in milliseconds. Exit code 1: something is wrong, or a
# test finds that many devices cost too much.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

SCRATCH=$(mktemp -d)
trap 'rm -rf "$SCRATCH"' EXIT
export SCRATCH

failed=''
# figures TEST: those that it has said
figures() {
	if ! "$TOP/scripts/run-test.sh" "$1" >"$SCRATCH/verdict" 2>&1; then
		sed "s/^/  $1: /" "$SCRATCH/verdict" >&2
		failed=1
	fi
	tr -d '\r' <"$BUILD/$VARIANT/logs/$1.log" | sed -n 's/^.*# figure //p'
}

export PLU_RESETS
{ figures scale; figures translated_cost; figures translated_many; } >"$SCRATCH/figures"
for PLU_RESETS in 8 32; do figures "vfio_resets:$PLU_RESETS"; done >>"$SCRATCH/figures"

awk '!($1 in seen) {
	seen[$1]
	if ($1 ~ /^resets/) printf "%s %.1f -\n", $1, $2 / 1e6
	else print $1, $2, "-"
}' "$SCRATCH/figures"
[ -z "$failed" ] || exit 1
