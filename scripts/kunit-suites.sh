#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# kunit-suites.sh LOG: did every KUnit suite of this project run, and the examples in the documentation of each of its
# Rust files? Prints those that did not.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/overlay.sh"

log=$1
results=$SCRATCH/results
tr -d '\r' <"$log" | sed -nE 's/^\[ *[0-9.]+\] *(ok [0-9]+ .*)/\1/p' >"$results"

has() { grep -qE "^ok [0-9]+ $1( |\$)" "$results" || echo "the KUnit suite or case $1 did not run"; }

has rust_doctests_kernel
while IFS=$'\t' read -r path file; do
	case $path in *.rs) ;; *) continue ;; esac
	sed -nE 's/^ *#\[kunit_tests\(([A-Za-z0-9_]+)\)\].*/\1/p' "$file" | while read -r suite; do has "$suite"; done
	case $path in
	rust/kernel/*)
		if grep -qE '^ *//[/!] ```$' "$file"; then
			case_name=${path#rust/kernel/}
			has "rust_doctest_kernel_$(tr './' '__' <<<"$case_name")_[0-9]+"
		fi ;;
	esac
done < <(overlay_files)
