#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# soak.sh: kexec after kexec in one guest, and in another, at the same time, kexecs with hand-overs that are damaged at
# random. N=100 and HOSTILE=100 say how many; SEED=NUMBER has it choose the same again. Shows how far they are, and at the
# end what was done and how much memory the kernels used, which must not grow.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/overlay.sh"
. "$(dirname "$0")/vm.sh"

declare -A jumps=([soak]=${N:-100} [soak_hostile]=${HOSTILE:-100})
seed=${SEED:-$(( RANDOM << 15 | RANDOM ))}

watched=0
[ "$VARIANT" = main ] || watched=1

for number in "${jumps[@]}" "$seed"; do
	[[ $number =~ ^(0x[0-9a-fA-F]+|[0-9]+)$ ]] || die "$number: N, HOSTILE and SEED are numbers."
done
check_settings

log_of() { echo "$BUILD/$VARIANT/logs/$1.long.log"; }

# start NAME: leaves the guest's exit code in the scratch folder.
start() {
	local program=$GUEST/rootfs/tests/$1 log
	# It runs by itself, and this is what is waited for, whatever becomes of it.
	code=1 began=$EPOCHREALTIME
	trap 'echo "$code $(seconds_since "$began")" >"$SCRATCH/'"$1"'.code"' EXIT
	log=$(log_of "$1")
	rm -f "$log"
	# What is only worth knowing is in the kernel's log, and not printed: that takes longer than all else.
	make_initrd "$1" "$SCRATCH/$1.cpio"
	qemu_command "$GUEST/bzImage" "$SCRATCH/$1.cpio" \
		"$COMMAND_LINE loglevel=5 kunit.enable=0 plu.test=$1 plu.jumps=${jumps[$1]} plu.seed=$seed plu.stage=1" \
		"$("$program" -q)"
	code=0
	timeout --foreground -k 5 "$(deadline $(( jumps[$1] + 1 )))" "${QEMU[@]}" -serial "file:$log" \
		</dev/null >"$log.qemu" 2>&1 || code=$?
}

# done_by NAME: how many jumps
done_by() { { [ ! -f "$(log_of "$1")" ] || cat "$(log_of "$1")" 2>/dev/null; } | grep -ac '# jump [1-9]' || true; }

# show_progress: until all guests have ended
show_progress() {
	local name line last='' ended
	while :; do
		line='' ended=1
		for name in "${running[@]}"; do
			[ -f "$SCRATCH/$name.code" ] || ended=''
			line+="  $name: $(done_by "$name") of ${jumps[$name]}"
		done
		if [ "$line" != "$last" ]; then
			if [ -t 1 ]; then printf '\r%s' "$line"; else say "$line"; fi
		fi
		last=$line
		[ -z "$ended" ] || break
		sleep 1
	done
	[ ! -t 1 ] || say ''
}

# judge NAME: says how it went; fails if it did not go well
judge() {
	local log code took verdict
	log=$(log_of "$1")
	touch "$log"
	read -r code took <"$SCRATCH/$1.code"
	verdict=$(how_ended "$code" "$log" "$took"
		LC_ALL=C awk -v done='plu: all stages passed' -f "$TOP/scripts/judge.awk" "$log")
	if [ "$(done_by "$1")" != "${jumps[$1]}" ]; then
		verdict+=$'\n'"it jumped $(done_by "$1") times instead of ${jumps[$1]}"
	fi
	say '' "$1: $(done_by "$1") jumps in $took s"
	LC_ALL=C awk -v watched="$watched" -f "$TOP/scripts/soak.awk" "$log" || verdict+=$'\n'"memory use grows"
	[ -n "$verdict" ] || return 0
	say "it failed:" "$(sed '/^$/d; s/^/    /' <<<"$verdict")" "the whole log: $log"
	return 1
}

[ "${jumps[soak]}${jumps[soak_hostile]}" != 00 ] || die "N=0 and HOSTILE=0: there is nothing to do."

lock
"$TOP/scripts/setup.sh" || exit
"$TOP/scripts/build-kernel.sh" "$VARIANT" || exit
make_guest || exit
unlock

running=()
say "seed $seed"
for name in soak soak_hostile; do
	[ "${jumps[$name]}" != 0 ] || continue
	running+=("$name")
	start "$name" &
done
show_progress
wait

failed=0
for name in "${running[@]}"; do judge "$name" || failed=1; done
exit "$failed"
