#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# demo.sh: boots a kernel, hands PCI devices over to the next one, and shows it while it happens: what the guest prints
# after "demo: ", with the seconds. At the end a table of the devices; non-zero when anything is not as it should be.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/overlay.sh"
. "$(dirname "$0")/vm.sh"

log=$BUILD/$VARIANT/logs/demo.log
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

# table: one line per device; what is wrong with one goes to the list.
table() {
	local device name before after incoming finished form='  %-22s %-39s %-13s %-13s %-10s %s\n'
	# shellcheck disable=SC2059 # the form is the same for all lines
	printf "$form" device name "BDF before" "BDF after" "incoming?" "finished?"
	while IFS='|' read -r device name before after incoming finished; do
		# shellcheck disable=SC2059
		printf "$form" "$device" "$name" "$before" "$after" "$incoming" "$finished"
		case $name in
		*"(left alone)"*)
			[ "$incoming" = no ] || echo "$before: nobody preserved it, and it is incoming" >>"$SCRATCH/wrong" ;;
		*)
			[ "$before" = "$after" ] || echo "$before: is $after now" >>"$SCRATCH/wrong"
			[ "$incoming" = yes ] || echo "$before: was preserved, and is not incoming" >>"$SCRATCH/wrong"
			[ "$finished" = yes ] || echo "$before: was not finished" >>"$SCRATCH/wrong" ;;
		esac
	done < <(sed -E 's/ *\| */|/g' "$SCRATCH/rows")
}

check_settings
lock
"$TOP/scripts/setup.sh" || exit
"$TOP/scripts/build-kernel.sh" || exit
make_guest || exit
unlock

touch "$SCRATCH/rows" "$SCRATCH/wrong"
program=$GUEST/rootfs/tests/demo
[ -x "$program" ] || die "the guest has no demo: tools/testing/selftests/pci_liveupdate did not build one."
stages=$("$program" -n)
qemu_command "$GUEST/bzImage" "$GUEST/initramfs.cpio" \
	"$COMMAND_LINE kunit.enable=0 plu.test=demo plu.stage=1 plu.extra $("$program" -c 1)" "$("$program" -q)"
limit=$(deadline "$stages")

say '' "A virtual machine is started; seconds since then:"
started=$EPOCHREALTIME
code=0
timeout --foreground -k 5 "$limit" "${QEMU[@]}" -serial stdio </dev/null 2>"$log.qemu" | tee "$log" | timeline || code=${PIPESTATUS[0]}
say ''
table
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
say "$(grep -vcF '(left alone)' "$SCRATCH/rows") PCI devices were handed over to the next kernel and taken back." \
    "All of it took $(seconds_since "$begun") s."
