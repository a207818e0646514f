#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# enumeration-cost.sh: what CONFIG_PCI_LIVEUPDATE costs a kernel that was handed nothing: the instructions that it takes to
# enumerate 100 PCI devices, with the option and without. QEMU counts them, one a nanosecond of the guest's time, so that the
# numbers are the same each time; everything is measured twice, to show that. Fails when they are not, or when the option
# costs more than LIMIT.
set -euo pipefail
# Checks in the kernel are not what is to be measured.
export DEBUG=0
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tree.sh"
. "$(dirname "$0")/vm.sh"

# Percent of what enumeration takes without the option.
LIMIT=1
RUNS=2

# A port on the root bus and below it a switch with eleven ports and 88 functions, which makes 100 devices.
PORT='-device pcie-root-port,id=rp,chassis=1,addr=4,hotplug=off'

hundred_devices() {
	local port function
	echo "$PORT -device x3130-upstream,id=up,bus=rp"
	for port in {0..10}; do
		echo "-device xio3130-downstream,id=dn$port,bus=up,chassis=$(( port + 2 )),hotplug=off"
		for function in {0..7}; do echo "-device edu,bus=dn$port,addr=0.$function,multifunction=on"; done
	done
}

# run KERNEL DEVICES TOPOLOGY: boots it, and leaves what the guest says of costs in a file for KERNEL and DEVICES.
run() {
	local log=$BUILD/$VARIANT/logs/enumeration-cost.$1.$2.log
	rm -f "$log"
	# Nothing random, and no clock but the counted one; no calibration, which waits for time to pass.
	qemu_command "$BASE/$1/arch/x86/boot/bzImage" "$GUEST/cost.cpio" \
		"$COMMAND_LINE quiet kunit.enable=0 nolapic_timer no_timer_check" "-icount shift=0,sleep=off $3"
	QEMU+=(-seed 1 -rtc "base=2000-01-01,clock=vm" -serial "file:$log")
	timeout --foreground -k 5 "$(deadline 4)" "${QEMU[@]}" </dev/null >"$log.qemu" 2>&1 ||
		die "QEMU with the kernel $1 did not end well:" "$(tail -n 3 "$log.qemu")" "the guest's log: $log"
	tr -d '\r' <"$log" | sed -n 's/^cost: //p' >"$SCRATCH/$1.$2"
	grep -qx "done" "$SCRATCH/$1.$2" || die "the kernel $1 was not measured. The guest's log: $log" "$(tail -n 3 "$log")"
}

# cost KERNEL DEVICES WORD: the last number of a line
cost() { awk -v word="$3" '$1 == word { print $NF }' "$SCRATCH/$1.$2"; }

# line TEXT WITH WITHOUT
line() {
	LC_ALL=C awk -v text="$1" -v with="$2" -v without="$3" 'BEGIN {
		printf "  %-46s %12d %12d %+10d %+10.1f %+9.3f %%\n", text, with, without, with - without,
			(with - without) / 100, (with - without) * 100 / without }'
}

# too_much WITH WITHOUT
too_much() { [ $(( ($1 - $2) * 100 )) -gt $(( $2 * LIMIT )) ]; }

lock
"$TOP/scripts/setup.sh" || exit
"$TOP/scripts/build-kernel.sh" main off || exit
make_guest || exit
find_base
printf '%s\n' 'dir /dev 755 0 0' "file /init $GUEST/rootfs/tests/enumeration_cost 755 0 0" >"$GUEST/cost.list"
"$BASE/main/usr/gen_init_cpio" "$GUEST/cost.list" >"$GUEST/cost.cpio"
unlock

say '' "instructions that the kernel executes, nothing having been handed over:" ''
printf '  %-46s %12s %12s %10s %10s %11s\n' '' "with option" without difference "per device" ''
for (( i = 1; i <= RUNS; i++ )); do
	for devices in "$PORT" "$(hundred_devices)"; do
		pids=()
		for kernel in main off; do
			run "$kernel" "$([ "$devices" = "$PORT" ] && echo none || echo hundred)" "$devices" &
			pids+=($!)
		done
		for pid in "${pids[@]}"; do wait "$pid"; done
	done
	main=$(( $(cost main hundred boot) - $(cost main none boot) ))
	off=$(( $(cost off hundred boot) - $(cost off none boot) ))
	{
		line "100 devices found again after their removal" "$(cost main hundred rescan)" "$(cost off hundred rescan)"
		line "100 devices found at boot *" "$main" "$off"
		line "boot up to init, with the 100 devices" "$(cost main hundred boot)" "$(cost off hundred boot)"
	} >"$SCRATCH/table.$i"
	[ "$i" != 1 ] || cat "$SCRATCH/table.1"
done
say '' "  * boot up to init with the devices, less the same without them"

bad=()
cmp -s "$SCRATCH/table.1" "$SCRATCH/table.$RUNS" || bad+=("Measured again, the numbers are others:" "$(cat "$SCRATCH/table.$RUNS")")
! too_much "$main" "$off" || bad+=("Enumeration at boot takes more than $LIMIT % longer.")
! too_much "$(cost main hundred rescan)" "$(cost off hundred rescan)" || bad+=("A rescan takes more than $LIMIT % longer.")
[ ${#bad[@]} = 0 ] || die "not as it should be" "${bad[@]}"
say "  Measured $RUNS times: the same to the digit."
