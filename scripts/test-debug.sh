#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# test-debug.sh [NAME...]: all tests, or some, on the kernel that finds mistakes with memory and locks, and those among them
# where much happens at a time on the one that finds data races. The last line is the sum of both, as test.sh has it.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

concurrent="races readers rescan session_closed hotunplug vfio_again vfio_freeze vfio_sessions"

SCRATCH=$(mktemp -d)
trap 'rm -rf "$SCRATCH"' EXIT

if [ $# = 0 ]; then read -r -a racing <<<"$concurrent"; else
	racing=()
	for name; do [[ " $concurrent " != *" $name "* ]] || racing+=("$name"); done
fi

# run KERNEL [NAME...]: on the kernel that DEBUG=KERNEL chooses
bad=0
run() {
	local code=0
	say '' "DEBUG=$1"
	DEBUG=$1 "$TOP/scripts/test.sh" "${@:2}" | tee "$SCRATCH/log" || code=$?
	[ "$code" = 0 ] || bad=1
	tail -n 1 "$SCRATCH/log" | grep -E '^[0-9]+ passed, ' >>"$SCRATCH/sums" ||
		die "the tests with DEBUG=$1 came to no end (see above)."
}

run 1 "$@"
[ ${#racing[@]} = 0 ] || run kcsan "${racing[@]}"

say '' "both kernels:"
awk -f "$TOP/scripts/add-results.awk" "$SCRATCH/sums"
exit "$bad"
