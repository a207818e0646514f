#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# build-kernel.sh [VARIANT...]: brings the work tree up to date and builds kernels from it, main, debug, kcsan, off, norust,
# bench or bench-off, each in its own object folder; or plain, from a tree without patches and overlay. A kernel whose
# inputs are all as they were is left alone.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/toolchain.sh"
. "$(dirname "$0")/tree.sh"

fragments=$TOP/scripts/config

# fragment VARIANT: its whole configuration; what comes later counts.
fragment() {
	cat "$fragments"/{base,kunit,feature}.config "$TOP/tools/testing/selftests/pci_liveupdate/config"
	case $1 in
	main) ;;
	bench-off) cat "$fragments"/{bench,bench-off}.config ;;
	*) cat "$fragments/$1.config" ;;
	esac
}

# inputs VARIANT: one hash for all that a kernel is made of. Tests and documents are no part of it.
inputs() {
	{
		toolchain_id
		fragment "$1"
		if [ "$1" = plain ]; then
			[ -z "${KDIR:-}" ] || (cd "$SOURCE" && find . -type f -printf '%P %s %T@\n' | LC_ALL=C sort)
			return
		fi
		overlay_files | grep -vE '^(tools|Documentation)/' | cut -f2 | tr '\n' '\0' | sorted_hash
		find "$TOP/patches" -name '*.patch' -print0 | sorted_hash
		[ -z "${KDIR:-}" ] || (cd "$SOURCE" && find . -type f -printf '%P %s %T@\n' | LC_ALL=C sort)
	} | sha256sum | cut -c1-32
}

# check_config OBJ: has every option of the fragment its value? An option without a prompt may be n by not being there.
check_config() {
	local line name bad=()
	while IFS= read -r line; do
		name=${line%%=*}
		if [ "${line#*=}" = n ]; then
			! grep -q "^$name=" "$1/.config" || bad+=("$line")
		else
			grep -qxF "$line" "$1/.config" || bad+=("$line")
		fi
	done < <(awk -F= '/^CONFIG_/ { value[$1] = $0 } END { for (name in value) print value[name] }' "$1/fragment.config" | sort)
	[ ${#bad[@]} = 0 ] || die "the kernel's configuration did not take these options:" "${bad[@]}" \
		"Their dependencies are in $SOURCE (make menuconfig, / to search)."
}

# configure OBJ: writes .config, only when it changes.
configure() {
	local obj=$1
	rm -f "$obj/.config.new"
	"${KMAKE[@]}" -s -C "$SOURCE" O="$obj" KCONFIG_ALLCONFIG="$obj/fragment.config" \
		KCONFIG_CONFIG="$obj/.config.new" allnoconfig
	if cmp -s "$obj/.config.new" "$obj/.config"; then
		rm "$obj/.config.new"
		# Kconfig files may be newer: nothing for kbuild to ask about
		touch "$obj/.config"
	else
		mv "$obj/.config.new" "$obj/.config"
	fi
	rm -f "$obj/.config.new.old"
}

kconfig_hash() {
	{ cat "$1/fragment.config"; (cd "$SOURCE" && find . -name 'Kconfig*' -type f -print0 | sorted_hash); } |
		sha256sum | cut -c1-32
}

# progress TOTAL: turns kbuild's lines into a count that is shown on one line, or now and then when nobody looks live.
progress() {
	local total=$1 count=0 line shown=0 what
	while IFS= read -r line; do
		case $line in
		'  HDRINST '*) continue ;;
		'  '[A-Z]*) ;;
		*) continue ;;
		esac
		count=$(( count + 1 ))
		if [ "$total" -gt 0 ]; then
			what="$count of about $total steps ($(( count * 100 / total > 99 ? 99 : count * 100 / total )) %)"
		else
			what="$count steps"
		fi
		if [ -t 1 ]; then
			printf '\r    %-50s' "$what"
		elif (( SECONDS - shown >= 30 )); then
			say "    $what"
			shown=$SECONDS
		fi
	done
	if [ -t 1 ]; then printf '\r%-60s\r' ''; fi
}

build() {
	local variant=$1 obj=$BASE/$1 want start=$EPOCHREALTIME total=0 hash tools like targets=(bzImage)
	mkdir -p "$obj"
	want=$(inputs "$variant")
	if [ "${FORCE:-0}" != 1 ] && [ "$(cat "$obj/built" 2>/dev/null)" = "$want" ]; then
		printf '  %-58s\n' "kernel ($variant) is up to date"
		return
	fi
	rm -f "$obj/built"
	[ -f "$obj/vmlinux" ] || need_space "$CACHE" 2000 "building a kernel"

	# A new compiler means a new folder; and some kernels differ little from another, so they start as a copy of it.
	tools=$(toolchain_id)
	if [ -f "$obj/toolchain" ] && [ "$tools" != "$(cat "$obj/toolchain")" ]; then
		rm -rf "$obj"
		mkdir -p "$obj"
	fi
	case $variant in
	off | norust) like=main ;;
	bench-off) like=bench ;;
	*) like= ;;
	esac
	if [ -n "$like" ] && [ ! -f "$obj/vmlinux" ] && [ -f "$BASE/$like/vmlinux" ]; then
		step "kernel ($variant): started from a copy of $like" copy_objects "$BASE/$like" "$obj"
	fi
	printf '%s\n' "$tools" >"$obj/toolchain"

	fragment "$variant" >"$obj/fragment.config"
	hash=$(kconfig_hash "$obj")
	if [ "$(cat "$obj/configured" 2>/dev/null)" != "$hash" ]; then
		step "kernel ($variant) configured" configure "$obj"
		check_config "$obj"
		printf '%s\n' "$hash" >"$obj/configured"
	fi

	# How many steps a whole build has is known from the last one.
	[ -f "$obj/vmlinux" ] || total=$(awk -v v="$variant" '$1 == v { print $2 }' "$fragments/steps")
	say "  kernel ($variant) is being built; log: $obj/build.log"
	[ "$variant" = plain ] || targets+=(modules headers)
	if ! "${KMAKE[@]}" -C "$SOURCE" O="$obj" "${targets[@]}" 2>&1 | tee "$obj/build.log" | progress "${total:-0}"; then
		say ''
		grep -v '(non-fatal' "$obj/build.log" | grep -nE -m1 -A25 '(^|[^_a-z])error(\[|:| )|\*\*\* ' || tail -n 25 "$obj/build.log"
		die "the kernel ($variant) was not built after $(seconds_since "$start") s. The whole log: $obj/build.log"
	fi
	grep -nE 'warning(:|\[)' "$obj/build.log" | head -n 20 || true
	printf '%s\n' "$want" >"$obj/built"
	printf '  %-58s %7s s\n' "kernel ($variant) built" "$(seconds_since "$start")"
}

lock
use_toolchain
find_base
update_tree
for variant in "${@:-$VARIANT}"; do
	if [ "$variant" = plain ]; then
		update_plain
		(SOURCE=$PLAIN build plain)
	else
		build "$variant"
	fi
done
