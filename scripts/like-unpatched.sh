#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# like-unpatched.sh: does a kernel that was handed nothing do to PCI devices what an unpatched one does? Boots both in the
# guest in GUEST, with the test program of this name, which plugs, removes and resets; has QEMU write down all that is
# written to config space, from the firmware's first write until the machine is switched off; and compares it, device by
# device. Prints what differs. Exit code: 0 nothing, 1 something, 4 there is no unpatched kernel.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/vm.sh"

SCRATCH=$(mktemp -d)
trap 'rm -rf "$SCRATCH"' EXIT
name=like_unpatched
logs=$BUILD/$VARIANT/logs
topology=$("$GUEST/rootfs/tests/$name" -q)

# What the kernels are told, beside nothing: ACS is set up for an IOMMU, and all buses are numbered anew.
cases=("intel_iommu=on" "pci=assign-busses,hpbussize=4")

skip() {
	say "skip: $1"
	exit 4
}
[ "$VARIANT" = main ] || skip "what is compared with an unpatched kernel is main, not $VARIANT"
[ -f "$GUEST/bzImage-plain" ] || skip "there is no unpatched kernel: scripts/build-kernel.sh plain makes it"
make_initrd "$name" "$SCRATCH/initrd.cpio"

# boot IMAGE WORD...: leaves what it writes in $SCRATCH/writes. With these words at the end of its command line.
boot() {
	local image=$1 log verdict
	shift
	log=$logs/$name.$image.$(tr -c '0-9A-Za-z\n' - <<<"$*").log
	qemu_command "$GUEST/$image" "$SCRATCH/initrd.cpio" \
		"$COMMAND_LINE kunit.enable=0 plu.modules=none plu.test=$name plu.stage=1 plu.extra $*" "$topology"
	verdict=$(run_guest "$log" 1 'plu: all stages passed' -d trace:pci_cfg_write -D "$log.writes")
	if [ -n "$verdict" ]; then
		say "$image $*:" "$verdict"
		show_end "$log"
		exit 1
	fi
	# Of one device after the other, in the order in which they come; but what tells of a slot (Slot Status) is cleared by
	# an interrupt's handler, whenever that gets to it, and more at a time or less.
	sed -n 's/^.*pci_cfg_write //p' "$log.writes" |
		sed -e '/^pcie-root-port .* @0x6e /d' -e '/^xio3130-downstream .* @0xaa /d' |
		sort -s -k 1,2 >"$SCRATCH/writes"
	[ -s "$SCRATCH/writes" ] || die "QEMU does not say what is written to config space: $log.writes"
}

different=0
for words in "${cases[@]}"; do
	boot bzImage-plain "$words"
	mv "$SCRATCH/writes" "$SCRATCH/unpatched"
	for liveupdate in on off; do
		boot bzImage "liveupdate=$liveupdate" "$words"
		cmp -s "$SCRATCH/unpatched" "$SCRATCH/writes" && continue
		different=1
		say "liveupdate=$liveupdate $words: not what an unpatched kernel (-) writes to config space:"
		diff -U 2 --label unpatched --label patched "$SCRATCH/unpatched" "$SCRATCH/writes" | sed 's/^/    /' | head -n 40 || true
	done
done
exit "$different"
