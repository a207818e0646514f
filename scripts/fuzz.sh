#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# fuzz.sh: has ROUNDS hand-overs read that are random, or almost right, by two guests, each half of them. Their seeds count
# up from SEED, which is picked and printed unless it is given. Shows how far they are. Exit code: 0 passed, 1 failed.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/overlay.sh"
. "$(dirname "$0")/vm.sh"

guests=2
rounds=${ROUNDS:-1000000}
seed=${SEED:-$(( SRANDOM % 1000000000 + 1 ))}
# No guest that works is slower, per second.
slowest=200

[[ $rounds =~ ^[1-9][0-9]*$ ]] || die "ROUNDS=$rounds: how many hand-overs? 1000000 unless given."
[[ $seed =~ ^[1-9][0-9]*$ ]] || die "SEED=$seed: a number from 1 on is wanted."
[ "$rounds" -ge "$guests" ] || guests=1
check_settings
start=$EPOCHREALTIME

lock
"$TOP/scripts/setup.sh" || exit
"$TOP/scripts/build-kernel.sh" "$VARIANT" || exit
make_guest || exit
unlock

# show N PID: what guest N says of how far it is, until it has ended
show() {
	tail -q -n +1 -F --pid="$2" "$(log_of "$1")" 2>/dev/null |
		stdbuf -oL tr -d '\r' |
		sed -unE "s/.*pci_liveupdate: fuzz: ([0-9]*[05] %.*)/  guest $1: \\1/p"
}

log_of() { echo "$BUILD/$VARIANT/logs/fuzz.$1.log"; }

# judge N CODE: what is wrong with guest N
judge() {
	local log
	log=$(log_of "$1")
	how_ended "$2" "$log" "$limit"
	LC_ALL=C awk -v done="" -f "$TOP/scripts/judge.awk" "$log"
	grep -qE '^\[ *[0-9.]+\] ok 1 pci_liveupdate_fuzz' "$log" || say "the suite did not pass"
	tr -d '\r' <"$log" | sed -nE 's/.*pci_liveupdate: (fuzz: (round|again|header|0x).*)/\1/p'
}

say "$rounds hand-overs, seed $seed (again: make fuzz SEED=$seed ROUNDS=$rounds)"
each=$(( (rounds + guests - 1) / guests ))
limit=$(( $(deadline 1) + each / slowest ))
[ "$VARIANT" = main ] || limit=$(( limit * 6 ))

make_initrd '' "$SCRATCH/initrd.cpio"
pids=() shows=()
for (( n = 0; n < guests; n++ )); do
	log=$(log_of "$n")
	mine=$(( n * each + each <= rounds ? each : rounds - n * each ))
	qemu_command "$GUEST/bzImage" "$SCRATCH/initrd.cpio" "$COMMAND_LINE kunit.enable=1 kunit.autorun=1 \
kunit.filter_glob=pci_liveupdate_fuzz* kunit.timeout=$limit kunit_shutdown=poweroff \
pci_liveupdate.fuzz_seed=$(( seed + n * each )) pci_liveupdate.fuzz_rounds=$mine"
	: >"$log"
	QEMU+=(-serial "file:$log")
	# Each has a monitor of its own.
	QEMU=("${QEMU[@]//monitor.$BASHPID/monitor.$n}")
	timeout --foreground -k 5 "$limit" "${QEMU[@]}" </dev/null >"$log.qemu" 2>&1 &
	pids+=($!)
	show "$n" $! &
	shows+=($!)
done

failed=0
for (( n = 0; n < guests; n++ )); do
	code=0
	wait "${pids[n]}" || code=$?
	wait "${shows[n]}" || true
	verdict=$(judge "$n" "$code")
	if [ -n "$verdict" ]; then
		failed=1
		say "FAIL  guest $n" "$verdict" "the whole log: $(log_of "$n")"
	fi
done

for (( n = 0; n < guests; n++ )); do
	tr -d '\r' <"$(log_of "$n")" | sed -nE "s/.*# pci_liveupdate_fuzz: /guest $n: /p"
done >"$SCRATCH/results"
cat "$SCRATCH/results"
awk -v took="$(seconds_since "$start")" -v failed="$failed" '
	{ for (i = 2; i <= NF; i++) { word = $i; sub(/,$/, "", word); if (word ~ /^(hand-overs|read|refused)$/) sum[word] += $(i - 1) } }
	END {
		printf "%d hand-overs, %d read, %d refused, in %d s: %s\n", sum["hand-overs"], sum["read"], sum["refused"], took,
			failed ? "FAILED" : "as it should be"
	}' "$SCRATCH/results"
exit "$failed"
