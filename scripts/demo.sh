#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# demo.sh: boots a kernel, hands PCI devices over to the next one, and shows it while it happens: what the guest prints
# after "demo: ", with the seconds. At the end a table of the devices; non-zero when anything is not as it should be.
# VFIO=1: a device in the hands of a virtual machine monitor.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/overlay.sh"
. "$(dirname "$0")/vm.sh"

case ${VFIO:-0} in
0) demo=demo ;;
1) demo=vfio_demo ;;
*) die "VFIO=$VFIO: 1 or nothing is wanted." ;;
esac
log=$BUILD/$VARIANT/logs/$demo.log
begun=$EPOCHREALTIME

# timeline: reads the guest's lines as they come, shows those of the demo and keeps rows and errors for the end.
timeline() {
	local line text bdf
	while IFS= read -r line; do
		line=${line%$'\r'}
		[[ $line =~ ^(\[[^]]*\]\ *)?demo:\ (.*) ]] || continue
		text=${BASH_REMATCH[2]}
		case $text in
		kernel\ *) printf '\n%6s s  %s\n' "$(seconds_since "$started")" "KERNEL ${text#kernel }" ;;
		step\ *) printf '%6s s    %s\n' "$(seconds_since "$started")" "${text#step }" ;;
		device\ *)
			text=${text#device }
			bdf=${text%% *}
			printf '%6s s      %-14s %s\n' "$(seconds_since "$started")" "$bdf" "${text#* }" ;;
		row\ *) printf '%s\n' "${text#row }" >>"$SCRATCH/rows" ;;
		error\ *)
			printf '%6s s    WRONG: %s\n' "$(seconds_since "$started")" "${text#error }"
			printf '%s\n' "${text#error }" >>"$SCRATCH/wrong" ;;
		esac
	done
}

# table: for each device, what every kernel saw of it.
table() {
	local number last='' device kernel address buses acs ari master dma form='  %-26s %-14s %-7s %-6s %-5s %-8s %s\n'
	# shellcheck disable=SC2059 # the form is the same for all lines
	printf "$form" "device, kernel" address buses ACS ARI master DMA
	while IFS='|' read -r number device kernel address buses acs ari master dma; do
		[ "$number" = "$last" ] || printf '  %s\n' "$device"
		last=$number
		# shellcheck disable=SC2059
		printf "$form" "  $kernel" "$address" "$buses" "$acs" "$ari" "$master" "$dma"
	done < <(sed -E 's/ *\| */|/g' "$SCRATCH/rows" | sort -s -n -t '|' -k 1,1)
	say '' "  *       not as it was in the kernel before" \
		"  buses   behind the bridge above: its secondary and subordinate number; one device handed over keeps all" \
		"  ACS     controls of the next bridge above that has any" \
		"  ARI     forwarding by the bridge above, if the kernel uses it"
}

# vfio_table: the device as its user sees it
vfio_table() {
	local when file address iova dma form='  %-22s %-48s %-13s %-11s %s\n'
	# shellcheck disable=SC2059
	printf "$form" "kernel, and when" file address IOVA DMA
	while IFS='|' read -r when file address iova dma; do
		# shellcheck disable=SC2059
		printf "$form" "$when" "$file" "$address" "$iova" "$dma"
	done < <(sed -E 's/ *\| */|/g' "$SCRATCH/rows")
}

check_settings
lock
"$TOP/scripts/setup.sh" || exit
"$TOP/scripts/build-kernel.sh" || exit
make_guest || exit
unlock

touch "$SCRATCH/rows" "$SCRATCH/wrong"
program=$GUEST/rootfs/tests/$demo
[ -x "$program" ] || die "the guest has no $demo: its selftests did not build."
stages=$("$program" -n)
make_initrd "$demo" "$SCRATCH/initrd.cpio"
qemu_command "$GUEST/bzImage" "$SCRATCH/initrd.cpio" \
	"$COMMAND_LINE kunit.enable=0 plu.test=$demo plu.stage=1 plu.extra $("$program" -c 1)" "$("$program" -q)"
# The firmware waits for somebody to plug something into a USB controller: a millisecond instead of 100, of busy waiting.
QEMU+=(-fw_cfg "name=etc/usb-time-sigatt,string="$'\x01')
limit=$(deadline "$stages")

say '' "A virtual machine is started; seconds since then:"
started=$EPOCHREALTIME
code=0
timeout --foreground -k 5 "$limit" "${QEMU[@]}" -serial stdio </dev/null 2>"$log.qemu" | tee "$log" | timeline || code=${PIPESTATUS[0]}
say ''
if [ "$demo" = demo ]; then table; else vfio_table; fi
case $code in
0) ;;
124 | 137) echo "the guest hangs: not done after $limit s" >>"$SCRATCH/wrong" ;;
*) echo "QEMU ended with code $code: $(tail -n 3 "$log.qemu")" >>"$SCRATCH/wrong" ;;
esac
[ -s "$SCRATCH/rows" ] || echo "the guest reported no device" >>"$SCRATCH/wrong"
LC_ALL=C awk -v done="plu: all stages passed" -f "$TOP/scripts/judge.awk" "$log" >>"$SCRATCH/wrong"

say '' "log: $log"
if [ -s "$SCRATCH/wrong" ]; then
	say "Not as it should be, after $(seconds_since "$begun") s:"
	sed 's/^/  /' "$SCRATCH/wrong"
	exit 1
fi
if [ "$demo" = vfio_demo ]; then
	say "The monitor has its device back, which has worked all the time, and nobody else had it in between. All of it took $(seconds_since "$begun") s."
	exit
fi
say "$(grep -cF '| B: handed over' "$SCRATCH/rows") PCI devices were handed over and taken back: same addresses, bus numbers, ACS and ARI; what DMA" \
    "they did went on all the time. That of the one left alone did not. All of it took $(seconds_since "$begun") s."
