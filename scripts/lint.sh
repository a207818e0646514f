#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# lint.sh: format and style of everything that this project adds, with the kernel's own tools and settings: rustfmt,
# clippy, checkpatch --strict, kernel-doc; and shellcheck. Shows all complaints, not only the first.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/toolchain.sh"
. "$(dirname "$0")/tree.sh"

# check NAME COMMAND...: a check that prints nothing and returns 0 is passed.
failed=()
check() {
	local name=$1 start=$EPOCHREALTIME
	shift
	if (trap - ERR; "$@") >"$SCRATCH/output" 2>&1 && [ ! -s "$SCRATCH/output" ]; then
		printf 'ok    %-54s %7s s\n' "$name" "$(seconds_since "$start")"
	else
		printf 'FAIL  %-54s %7s s\n' "$name" "$(seconds_since "$start")"
		sed 's/^/      /' "$SCRATCH/output"
		failed+=("$name")
	fi
}

# our_files PATTERN: files of the overlay, as they are called in the tree
our_files() { overlay_files | cut -f1 | grep -E "$1" || true; }

check_rustfmt() {
	local files
	mapfile -t files < <({ our_files '\.rs$'; patched_files "$TOP"/patches/*.patch | grep '\.rs$'; } | sort -u)
	[ ${#files[@]} = 0 ] || (cd "$SOURCE" && rustfmt --edition 2021 --check --config-path .rustfmt.toml "${files[@]}")
}

# Only what clippy says of our files counts: the rest of the kernel is not ours to mend.
check_clippy() {
	local obj=$BASE/lint
	[ -d "$obj" ] || copy_objects "$BASE/main" "$obj"
	cp "$BASE/main/.config" "$obj/.config.new"
	cmp -s "$obj/.config.new" "$obj/.config" || mv "$obj/.config.new" "$obj/.config"
	rm -f "$obj/.config.new"
	# Warnings are only printed when something is compiled.
	rm -f "$obj/rust/kernel.o"
	find "$obj"/drivers/{pci,vfio/pci}/liveupdate -name '*.o' -delete 2>/dev/null || true
	if ! "${KMAKE[@]}" -C "$SOURCE" O="$obj" CLIPPY=1 prepare drivers/pci/liveupdate/ drivers/vfio/pci/ >"$obj/clippy.log" 2>&1; then
		tail -n 40 "$obj/clippy.log"
		return 1
	fi
	{ our_files '\.rs$'; patched_files "$TOP"/patches/*.patch | grep '\.rs$'; } >"$SCRATCH/rust"
	awk -v names="$SCRATCH/rust" '
		BEGIN { while ((getline name < names) > 0) ours[name] = 1 }
		function flush() { if (mine) printf "%s", block; block = ""; mine = 0 }
		/^(warning|error)/ { flush() }
		/^  [A-Z]/ { flush(); next }
		{ block = block $0 "\n" }
		/^ *--> / { path = $2; sub(/:.*/, "", path); for (name in ours) if (path == name || substr(path, length(path) - length(name)) == "/" name) mine = 1 }
		END { flush() }' "$obj/clippy.log"
}

# Two of its rules cannot be kept here: it looks for an exported function in the same file, and ours are in Rust; and it
# takes every ".compatible =" for one of a device tree.
checkpatch() {
	(cd "$SOURCE" && perl scripts/checkpatch.pl --strict --quiet --no-summary --show-types --color=never \
		--ignore EXPORT_SYMBOL,UNDOCUMENTED_DT_STRING "$@")
}

check_patches() { checkpatch "$TOP"/patches/*.patch; }

check_new_files() {
	local files
	mapfile -t files < <(our_files .)
	checkpatch -f "${files[@]}"
}

check_shell() {
	local files
	mapfile -t files < <(cd "$TOP" && {
		git ls-files -co --exclude-standard 2>/dev/null || find . -type f -printf '%P\n'
	} | while IFS= read -r file; do
		[ -f "$file" ] && head -n 1 "$file" | grep -qE '^#!.*sh$' && echo "$file"
	done)
	# 2187: init is run by busybox, whose shell shellcheck takes for dash.
	(cd "$TOP" && shellcheck -x -e SC2187 "${files[@]}")
}

check_kernel_doc() {
	local files
	mapfile -t files < <(our_files '\.[ch]$')
	(cd "$SOURCE" && python3 scripts/kernel-doc -none -Wall -Werror "${files[@]}")
}

lock
"$TOP/scripts/setup.sh" lint || exit
"$TOP/scripts/build-kernel.sh" main || exit
use_toolchain
find_base
check "rustfmt: new and patched Rust files" check_rustfmt
check "clippy: our crates and the kernel crate" check_clippy
check "checkpatch --strict: patches" check_patches
check "checkpatch --strict: new files" check_new_files
check "shellcheck" check_shell
check "kernel-doc: new C files" check_kernel_doc
check "safe code that breaks memory: does not compile" "$TOP/scripts/lint-refused.sh"
check "README: its pieces of code are compiled somewhere" "$TOP/scripts/lint-readme.sh"
[ ${#failed[@]} = 0 ] || die "not clean: $(IFS=,; echo "${failed[*]}")"
