# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Sourced: the work tree in the cache that kernels are built from. There is one for each base (Debian's version, or the
# user's KDIR, which is never written to), with the object folders of all variants beside it.

. "$TOP/scripts/overlay.sh"

# find_base: sets BASE, the folder in the cache with source/ and the object folders. A script that works on a copy of
# these says where it is in PLU_BASE.
find_base() {
	local name
	if [ -n "${PLU_BASE:-}" ]; then
		BASE=$PLU_BASE
	elif [ -n "${KDIR:-}" ]; then
		KDIR=$(cd "$KDIR" && pwd)
		name=$(sha256sum <<<"$KDIR")
		BASE=$CACHE/kdir-$(basename "$KDIR" | tr -c '0-9A-Za-z.\n' -)-${name:0:8}
	else
		BASE=$("$TOP/scripts/fetch-kernel.sh" -p)
		[ -n "$BASE" ] || die "the kernel's sources are not there: scripts/setup.sh gets them."
	fi
	SOURCE=$BASE/source
	PLAIN=$BASE/source-plain
}

# copy_kdir: the user's tree as it is now into the work tree, but for what overlay and patches own in either.
copy_kdir() {
	mkdir -p "$SOURCE"
	{
		overlay_files | cut -f1
		patched_files "$TOP"/patches/*.patch "$KDIR/$STATE"/patches/*.patch "$SOURCE/$STATE"/patches/*.patch
		cat "$KDIR/$STATE/files" "$SOURCE/$STATE/files" 2>/dev/null | cut -d' ' -f3-
		cat <<-END
			$STATE
			.git
			.config*
			include/config
			include/generated
			arch/*/include/generated
			vmlinux*
			Module.symvers
			modules.*
			System.map
		END
	} | sed 's,^,/,' >"$SCRATCH/exclude"
	# What a build in the tree itself left there
	printf '%s\n' '*.o' '*.a' '*.ko' '*.mod' '*.mod.c' '*.cmd' '*.rmeta' '*.rlib' '*.so' >>"$SCRATCH/exclude"
	rsync -a --delete --exclude-from="$SCRATCH/exclude" "$KDIR/" "$SOURCE/"
}

# update_tree: makes the work tree exactly base + patches + overlay.
update_tree() {
	if [ -n "${KDIR:-}" ]; then
		[ -d "$SOURCE" ] || need_space "$CACHE" 4000 "a copy of $KDIR and a build"
		step "$KDIR copied to the cache" copy_kdir
		lay "$KDIR" "$SOURCE"
		return
	fi
	if ! (lay "$SOURCE" "$SOURCE") 2>"$SCRATCH/why"; then
		# The fault is the patches', unless something has happened to the tree: then a new one is needed.
		if [ -d "$SOURCE/$STATE" ]; then
			say "  the tree in the cache is not as it was left, unpacking a new one"
			rm -rf "$SOURCE"
			"$TOP/scripts/fetch-kernel.sh"
		fi
		lay "$SOURCE" "$SOURCE"
	fi
}

# update_plain: makes the tree PLAIN exactly base, with neither patches nor overlay. What is the same in the work tree is a
# link to it, which costs next to no room: files there are replaced, and never written to.
update_plain() {
	local files new=$SCRATCH/plain path
	mapfile -t files < <(patched_files "$SOURCE/$STATE"/patches/*.patch)
	mkdir -p "$PLAIN" "$new"
	original_files "$SOURCE" "$new" "${files[@]}"
	{
		printf '%s\n' "$STATE" "${files[@]}"
		cut -d' ' -f3- "$SOURCE/$STATE/files"
	} | sed 's,^,/,' >"$SCRATCH/exclude-plain"
	rsync -a --delete --link-dest="$SOURCE" --exclude-from="$SCRATCH/exclude-plain" "$SOURCE/" "$PLAIN/"
	for path in "${files[@]}"; do
		if [ ! -f "$new/$path" ]; then
			rm -f "$PLAIN/$path"
		elif ! cmp -s "$new/$path" "$PLAIN/$path"; then
			mkdir -p "$PLAIN/$(dirname "$path")"
			cp --remove-destination "$new/$path" "$PLAIN/$path"
		fi
	done
}

# copy_objects FROM TO: kbuild remembers absolute paths, and would compile everything again without its new ones.
copy_objects() {
	rm -rf "$2" "$2.part"
	cp -a --reflink=auto "$1" "$2.part"
	# Modules from outside of the tree are built anew for each kernel.
	rm -rf "$2.part/external"
	grep -rlIZF "$1/" "$2.part" --include='.*.cmd' --include='*.d' | xargs -0r sed -i "s,$1/,$2/,g"
	rm -f "$2.part/built" "$2.part/configured"
	mv "$2.part" "$2"
}
