# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Sourced: lays the overlay (files that Linux does not have) and patches/ (changes to those that it has) into a kernel
# tree, and takes them out again. Only files whose content differs are written, so that a build stays incremental.
#
# What was laid is remembered in the tree, in .pci-liveupdate/: a copy of the patches, and in `files` the checksum of
# each file of the overlay. From these the original files are found again, whatever the checkout has become since.

STATE=.pci-liveupdate
SCRATCH=$(mktemp -d)
trap 'rm -rf "$SCRATCH"' EXIT

# overlay_files: "PATH-IN-THE-TREE<tab>FILE" for each file of the overlay.
overlay_files() {
	local f
	{
		git -C "$TOP" ls-files -co --exclude-standard 2>/dev/null ||
			(cd "$TOP" && find . -type f -printf '%P\n')
	} | grep -vE '^(\.|patches/|scripts/|build/|(Makefile|README\.md)$)' | LC_ALL=C sort |
	while IFS= read -r f; do
		[ -f "$TOP/$f" ] || continue
		case $f in
		Kconfig) printf '%s\t%s\n' "drivers/pci/liveupdate/Kconfig" "$TOP/$f" ;;
		*/*) printf '%s\t%s\n' "$f" "$TOP/$f" ;;
		esac
	done
}

# patched_files PATCH...: the files of the tree that the patches name.
patched_files() {
	local patch
	for patch in "$@"; do
		[ ! -e "$patch" ] || sed -nE 's,^(---|\+\+\+) [ab]/([^\t]*).*,\2,p' "$patch"
	done | LC_ALL=C sort -u
}

# git_apply DIRECTORY ARGUMENT...: git apply in a directory that is no part of any repository; exact context only.
git_apply() {
	local dir=$1
	shift
	(cd "$dir" && GIT_CEILING_DIRECTORIES=$(dirname "$dir") git apply -p1 "$@")
}

# reverse_patches DIRECTORY PATCH...: takes them out, last one first.
reverse_patches() {
	local dir=$1 i
	shift
	for (( i = $#; i > 0; i-- )); do
		git_apply "$dir" -R "${!i}" || return 1
	done
}

kernel_version() { sed -nE '1,6s/^(VERSION|PATCHLEVEL|SUBLEVEL) = *//p' "$1/Makefile" | paste -sd .; }

# check_kernel_tree DIRECTORY
check_kernel_tree() {
	[ -d "$1" ] || die "KDIR=$1: no such directory." "Give the top of a Linux $KERNEL_SERIES tree."
	if ! { [ -f "$1/Kbuild" ] && [ -f "$1/Kconfig" ] && [ -f "$1/drivers/pci/Kconfig" ] &&
	       grep -q '^PATCHLEVEL' "$1/Makefile" 2>/dev/null; }; then
		die "KDIR=$1 is not the top of a kernel source tree." \
		    "It should have Makefile, Kbuild, Kconfig and drivers/pci."
	fi
}

# original_files TREE OUT FILE...: copies these files of the tree as they are without our patches.
original_files() {
	local tree=$1 out=$2 f
	shift 2
	for f in "$@"; do
		[ -f "$tree/$f" ] || continue
		mkdir -p "$out/$(dirname "$f")"
		cp -p "$tree/$f" "$out/$f"
	done
	if [ -d "$tree/$STATE/patches" ]; then
		reverse_patches "$out" "$tree/$STATE"/patches/*.patch 2>"$out/.why" ||
			die "the patches that were applied to $tree cannot be taken out again:" \
			    "$(head -n 3 "$out/.why")" "Its files were changed since at the same places."
	elif [ -n "$(patched_files "$TOP"/patches/*.patch)" ]; then
		# Applied by hand, or applied and then committed?
		cp -r "$out" "$out.applied"
		if reverse_patches "$out.applied" "$TOP"/patches/*.patch 2>/dev/null; then
			rm -rf "$out"
			mv "$out.applied" "$out"
		fi
	fi
	rm -rf "$out.applied" "$out/.why"
}

# apply_patches DIRECTORY TREE: all of patches/, or an error that says which and where.
apply_patches() {
	local patch why
	for patch in "$TOP"/patches/*.patch; do
		[ -e "$patch" ] || continue
		why=$(git_apply "$1" --whitespace=nowarn "$patch" 2>&1) && continue
		die "patches/${patch##*/} does not apply to $2:" \
		    "$(sed -n 's/^error: //p' <<<"$why" | head -n 4)" \
		    "That tree is Linux $(kernel_version "$2"), the patches are for $KERNEL_SERIES. Nothing was changed."
	done
}

# changed_since TREE: files of the overlay in the tree that are not as they were laid there.
changed_since() {
	[ -f "$1/$STATE/files" ] || return 0
	(cd "$1" && { LC_ALL=C sha256sum -c --quiet "$STATE/files" 2>/dev/null || true; }) | sed -nE 's/: FAILED( open or read)?$//p'
}

# lay FROM TREE: makes the tree FROM's originals + patches + overlay. FROM is the tree itself, or where it was copied from.
lay() {
	local from=$1 tree=$2 work path file old new files
	work=$(mktemp -d -p "$SCRATCH")
	overlay_files >"$work/overlay"
	patched_files "$TOP"/patches/*.patch >"$work/patched.new"
	patched_files "$from/$STATE"/patches/*.patch "$tree/$STATE"/patches/*.patch |
		LC_ALL=C sort -u - "$work/patched.new" >"$work/patched"
	mapfile -t files <"$work/patched"
	mkdir "$work/new"
	original_files "$from" "$work/new" "${files[@]}"
	apply_patches "$work/new" "$from"

	# A file of the overlay that the tree has already, from somebody else?
	while IFS=$'\t' read -r path file; do
		if [ -e "$from/$path" ] && ! grep -qF "  $path" "$from/$STATE/files" 2>/dev/null &&
		   ! cmp -s "$file" "$from/$path"; then
			die "$from already has $path, and it is not ours." "Nothing was changed."
		fi
		mkdir -p "$work/new/$(dirname "$path")"
		cp "$file" "$work/new/$path"
	done <"$work/overlay"
	cut -f1 "$work/overlay" >"$work/laid"

	# What is to be written goes beside its place first: a full disk is met before anything has changed.
	(cd "$work/new" && find . -type f -printf '%P\n') >"$work/all"
	: >"$work/write"
	while IFS= read -r path; do
		cmp -s "$work/new/$path" "$tree/$path" && continue
		printf '%s\n' "$path" >>"$work/write"
		if ! { mkdir -p "$tree/$(dirname "$path")" && cp "$work/new/$path" "$tree/$path.plu-new"; }; then
			while IFS= read -r path; do rm -f "$tree/$path.plu-new"; done <"$work/write"
			die "$tree cannot be written to. Nothing was changed."
		fi
	done <"$work/all"
	{
		cat "$work/patched"
		[ ! -f "$tree/$STATE/files" ] || cut -d' ' -f3- "$tree/$STATE/files"
	} | LC_ALL=C sort -u | LC_ALL=C comm -23 - <(LC_ALL=C sort "$work/all") >"$work/remove"
	new=$tree/$STATE.new old=$tree/$STATE
	rm -rf "$new"
	mkdir -p "$new/patches"
	cp "$TOP"/patches/*.patch "$new/patches/" 2>/dev/null || rmdir "$new/patches"
	(cd "$work/new" && tr '\n' '\0' <"$work/laid" | xargs -0r sha256sum) >"$new/files"

	# From here on nothing can fail for want of room, and an interrupt waits.
	trap '' INT TERM HUP
	while IFS= read -r path; do mv "$tree/$path.plu-new" "$tree/$path"; done <"$work/write"
	while IFS= read -r path; do
		rm -f "$tree/$path"
		(cd "$tree" && rmdir -p --ignore-fail-on-non-empty "$(dirname "$path")" 2>/dev/null) || true
	done <"$work/remove"
	if diff -rq "$new" "$old" >/dev/null 2>&1; then
		rm -rf "$new"
	else
		rm -rf "$old"
		mv "$new" "$old"
	fi
	trap - INT TERM HUP
	LAID_CHANGES=$(cat "$work/write" "$work/remove" | wc -l)
}

# unlay TREE: the tree as it was before.
unlay() {
	local tree=$1 work path files
	work=$(mktemp -d -p "$SCRATCH")
	[ -d "$tree/$STATE" ] || { LAID_CHANGES=0; return 0; }
	mapfile -t files < <(patched_files "$tree/$STATE"/patches/*.patch 2>/dev/null)
	mkdir "$work/old"
	original_files "$tree" "$work/old" "${files[@]}"
	trap '' INT TERM HUP
	for path in "${files[@]}"; do
		if [ -f "$work/old/$path" ]; then cp "$work/old/$path" "$tree/$path"; else rm -f "$tree/$path"; fi
	done
	LAID_CHANGES=${#files[@]}
	while read -r _ path; do
		rm -f "$tree/$path"
		(cd "$tree" && rmdir -p --ignore-fail-on-non-empty "$(dirname "$path")" 2>/dev/null) || true
		LAID_CHANGES=$(( LAID_CHANGES + 1 ))
	done <"$tree/$STATE/files"
	rm -rf "${tree:?}/$STATE"
	trap - INT TERM HUP
}
