#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# bench.sh: what PCI Live Update costs. QEMU counts the instructions that a guest executes, one a nanosecond of the guest's
# time, so that the figures are the same each time, however busy the machine is; everything is measured twice, to show that.
# Prints a table and writes build/bench.json. Fails when a goal is not met, or when the second time gives other figures.
#
# In the guest it is tools/testing/selftests/pci_liveupdate/tests/bench.c that asks drivers/pci/liveupdate/bench/mod.rs to measure.
# What many devices cost is measured by tests, once: see bench-many.sh.
set -euo pipefail
export DEBUG=bench
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/toolchain.sh"
. "$(dirname "$0")/tree.sh"
. "$(dirname "$0")/vm.sh"

RUNS=2
JSON=$BUILD/bench.json

# Nothing random, no clock but the counted one, and that one with its true frequency: measuring that waits for time to pass.
QUIET="quiet nolapic_timer no_timer_check tsc_early_khz=1000000"
COUNTED="-icount shift=0,sleep=off"

# One device for the figures. A port, and below it a switch with thirteen ports and 100 functions, for all else.
ONE_DEVICE='-device edu,addr=3'
hundred_devices() {
	local port function
	echo '-device pcie-root-port,id=rp,chassis=1,addr=4,hotplug=off -device x3130-upstream,id=up,bus=rp'
	for port in {0..12}; do
		echo "-device xio3130-downstream,id=dn$port,bus=up,chassis=$(( port + 2 )),hotplug=off"
		for function in {0..7}; do
			(( port * 8 + function >= 100 )) || echo "-device edu,bus=dn$port,addr=0.$function,multifunction=on"
		done
	done
}

# guest_image NAME LINE...: an initramfs with the guest's part of the benchmark, and these lines of gen_init_cpio.
guest_image() {
	local name=$1
	shift
	printf '%s\n' 'dir /dev 755 0 0' 'nod /dev/kmsg 644 0 0 c 1 11' 'dir /boot 755 0 0' 'dir /modules 755 0 0' \
		"file /init $GUEST/rootfs/tests/bench 755 0 0" "$@" >"$GUEST/$name.list"
	"$BASE/bench/usr/gen_init_cpio" "$GUEST/$name.list" >"$GUEST/$name.cpio"
}

make_images() {
	local kernel="file /boot/bzImage $GUEST/bzImage 644 0 0" module=pci_liveupdate_test.ko
	module="file /modules/$module $GUEST/rootfs/modules/$module 644 0 0"
	guest_image boot
	guest_image jump "$kernel" "$module" "file /boot/next.cpio $GUEST/boot.cpio 644 0 0"
	guest_image figures "$kernel" "$module"
}

# run ROUND NAME KERNEL IMAGE WORDS ARGUMENTS: boots a guest, and leaves what it says in a file for ROUND and NAME.
run() {
	local name=$2 log=$BUILD/$VARIANT/logs/$2.$1.log start=$EPOCHREALTIME
	rm -f "$log"
	qemu_command "$BASE/$3/arch/x86/boot/bzImage" "$GUEST/$4.cpio" "$COMMAND_LINE $QUIET $5" "$COUNTED $6"
	QEMU+=(-seed 1 -rtc "base=2000-01-01,clock=vm" -serial "file:$log")
	timeout --foreground -k 5 900 "${QEMU[@]}" </dev/null >"$log.qemu" 2>&1 ||
		die "QEMU did not end well ($name):" "$(tail -n 3 "$log.qemu")" "the guest's log: $log"
	tr -d '\r' <"$log" | sed -n 's/^\[ *\([0-9]*\)\.\([0-9]*\)\] bench: /\1\2 /p' >"$SCRATCH/$name.$1"
	grep -q " done$" "$SCRATCH/$name.$1" ||
		die "$name was not measured:" "$(tail -n 3 "$SCRATCH/$name.$1")" "the guest's log: $log"
	printf '  %-58s %7s s\n' "$name" "$(seconds_since "$start")"
}

# measure ROUND: all guests, two at a time.
measure() {
	local many pids=() pid failed=''
	many=$(hundred_devices)
	run "$1" figures bench figures "retain_initrd bench=figures stage=0" "-m 2G $ONE_DEVICE" &
	pids+=($!)
	{
		run "$1" boot-off bench-off boot "bench=boot" "$many"
		run "$1" boot-on bench boot "bench=boot" "$many"
		run "$1" jump bench jump "bench=jump" "$many"
		run "$1" jump-preserved bench jump "bench=jump_preserved" "$many"
	} &
	pids+=($!)
	# No guest is left behind when another one fails.
	for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
	[ -z "$failed" ] || exit 1
}

# figures ROUND: "KEY VALUE FLOOR" for all that was measured in it. Of several counts the least; what a floor is for is
# in drivers/pci/liveupdate/bench/floor.c.
figures() {
	LC_ALL=C awk '
		$2 != "figure" || ($4 ~ /^(hit|miss)$/ && $5 == 0) { next }
		{
			key = $4
			if (key == "setup" && $3 > 0) key = "adopt"
			if (key !~ /^(line|first|page)$/) key = key "." $5
			if (!(key in ours)) { order[++nr] = key; n[key] = $5 > 0 ? $5 : 1; ours[key] = $6; floor[key] = $7 }
			if ($6 < ours[key]) ours[key] = $6
			if ($7 < floor[key]) floor[key] = $7
		}
		END {
			for (i = 1; i <= nr; i++) {
				key = order[i]
				printf "%s %.1f ", key, ours[key] / n[key]
				# The floor is for records.
				if (key == "retrieve.0" || !floor[key]) print "-"; else printf "%.1f\n", floor[key] / n[key]
			}
		}' "$SCRATCH/figures.$1"
	# From the start of its clock, in setup_arch(), to init: that is a kernel that runs, without the unpacking of its image.
	printf 'boot.off %s -\n' "$(booted "$SCRATCH/boot-off.$1")"
	printf 'boot.on %s -\n' "$(booted "$SCRATCH/boot-on.$1")"
	printf 'boot.after-jump %s -\n' "$(booted "$SCRATCH/jump.$1")"
	printf 'boot.100-incoming %s -\n' "$(booted "$SCRATCH/jump-preserved.$1")"
	printf 'jump.none %s -\n' "$(jumped "$SCRATCH/jump.$1")"
	printf 'jump.100-preserved %s -\n' "$(jumped "$SCRATCH/jump-preserved.$1")"
}

# booted FILE: how long the last kernel took to come up, in instructions. The log has microseconds.
booted() { awk '$2 == "tsc" { took = $1 * 1000 } END { printf "%.0f\n", took }' "$1"; }

# jumped FILE: from the call in one kernel to the first process of the next
jumped() { awk '$2 == "tsc" { took = $3 - before; before = $3 } END { printf "%.0f\n", took }' "$1"; }

# llvm TOOL ARGUMENT...
llvm() {
	local tool=llvm-$1
	shift
	[ "$LLVM" = 1 ] || tool+=$LLVM
	"$tool" "$@"
}

# sections PATTERN FILE...: how large the sections are whose names match.
sections() {
	local pattern=$1
	shift
	llvm size -A "$@" | awk -v pattern="$pattern" '$1 ~ pattern { sum += $2 } END { print sum + 0 }'
}
TEXT='^[.]((init|exit)[.])?text'
DATA='^[.](ro)?(data|bss)'

# functions PATTERN FILE...: how large the functions are whose names match, one of which there has to be.
functions() {
	local pattern=$1 sizes
	shift
	sizes=$(llvm nm -S --defined-only "$@" | awk -v pattern="$pattern" '$3 ~ /^[tTwW]$/ && $4 ~ pattern { print "0x" $2 }')
	[ -n "$sizes" ] || die "no function in $* is called like $pattern"
	echo $(( ${sizes//$'\n'/ + } ))
}

# pci_core VARIANT PATTERN: how large its sections are in the PCI core, not counting the crate.
pci_core() {
	local members
	cd "$BASE/$1"
	mapfile -t members < <(llvm ar t drivers/pci/built-in.a | grep -v '/liveupdate/')
	sections "$2" "${members[@]}"
}

# sizes: "KEY VALUE -" for what the option adds to the kernel, in bytes.
sizes() {
	local obj=$BASE/bench ours=$BASE/bench/drivers/pci/liveupdate helpers text data not_ours
	# The benchmark, and what is there for the test driver.
	not_ours=$(functions 'pci_liveupdate(5bench|5tests)' "$ours/pci_liveupdate.o")
	# What is written for the crate in other places: in the kernel crate and its helpers, and by our patches for KHO and LUO.
	helpers=$(sed -nE 's/.*(rust_helper_[a-z_]+)\(.*/\1/p' "$TOP"/rust/helpers/{iommu,pci_liveupdate,pm_runtime}.c | sort -u | paste -sd '|')
	text=(
		"crate $(( $(sections "$TEXT" "$ours/pci_liveupdate.o") - not_ours ))"
		"exports $(sections "$TEXT" "$ours/"{exports,jump,lookup,numbering,private,registers,removals}.o)"
		"hooks $(( $(pci_core bench "$TEXT") - $(pci_core bench-off "$TEXT") ))"
		"kernel-crate $(functions '6kernel(3kho|10liveupdate|6xarray6values|3pci(10liveupdate|4lock|8topology))' "$obj/rust/kernel.o")"
		"helpers $(functions "^($helpers)$" "$obj/rust/helpers/helpers.o")"
		"luo $(functions '^(kho_claim_page|kho_try_restore_folio|kho_peek|luo_flb_(freeze|unfreeze|file_unpreserve_one))$' \
			"$obj/kernel/liveupdate/"{kexec_handover,luo_flb}.o)"
	)
	printf 'text.%s -\n' "${text[@]}"
	printf '%s\n' "${text[@]}" | awk '{ sum += $2 } END { print "text.all", sum, "-" }'
	data=$(( $(sections "$DATA" "$ours/"{pci_liveupdate,exports}.o) + $(pci_core bench "$DATA") - $(pci_core bench-off "$DATA") ))
	echo "data.all $data -"
}

# about: the first lines of the JSON, which say what it is about.
about() {
	local key text
	while IFS='|' read -r key text; do printf '  "%s": "%s",\n' "$key" "${text//[\"\\]/}"; done <<-END
		format|pci-liveupdate-bench 1
		date|$(date -u +%Y-%m-%dT%H:%M:%SZ)
		kernel|$(kernel_version "$SOURCE")
		rustc|$(rustc --version)
		clang|$(llvm nm --version | sed -n 's/.*LLVM version/LLVM/p')
		qemu|$(qemu-system-x86_64 --version | head -n 1)
		machine|q35, TCG, one processor, an instruction a nanosecond (-icount shift=0)
	END
	printf '  "measured": %d, "identical": %s\n' "$RUNS" "$1"
}

check_settings
lock
"$TOP/scripts/setup.sh" || exit
"$TOP/scripts/build-kernel.sh" bench bench-off || exit
make_guest || exit
use_toolchain
find_base
make_images
unlock

sizes >"$SCRATCH/sizes"
met=true start=$EPOCHREALTIME
"$TOP/scripts/bench-many.sh" >"$SCRATCH/many" || met=false
printf '  %-58s %7s s\n' "many devices measured" "$(seconds_since "$start")"
for (( i = 1; i <= RUNS; i++ )); do
	say "  measured, $i of $RUNS times:"
	measure "$i"
	{ figures "$i"; cat "$SCRATCH/sizes" "$SCRATCH/many"; } >"$SCRATCH/all.$i"
done

identical=true
cmp -s "$SCRATCH/all.1" "$SCRATCH/all.$RUNS" || identical=false
LC_ALL=C awk -v json=1 -v head="$(about "$identical")" -f "$TOP/scripts/bench.awk" "$SCRATCH/all.1" >"$JSON" || true
LC_ALL=C awk -f "$TOP/scripts/bench.awk" "$SCRATCH/all.1" || met=false
say '' "  $JSON has it for make bench-compare."
[ "$identical" = true ] ||
	die "Measured again, these figures are others:" "$(diff "$SCRATCH/all.1" "$SCRATCH/all.$RUNS" | grep '^[<>]')"
say "  Measured $RUNS times, but for many devices: the same to the digit."
[ "$met" = true ] || die "not all goals are met (see the table)."
