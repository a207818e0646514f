#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# run-test.sh NAME: boots the guest in GUEST for one test and judges its log. Prints what is wrong, quoting the guest.
# NAME:ROUND is one of the rounds of a test that has more than one, and NAME:qemu10 the test with a newer QEMU.
# Exit code: 0 passed, 1 failed, 4 skipped.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/vm.sh"

name=${1%%:*}
log=$BUILD/$VARIANT/logs/$1.log
program=$GUEST/rootfs/tests/$name
initrd=$SCRATCH/$1.cpio
topology='' round='' extra='' stages=1 done='plu: all stages passed'

case ${1#"$name"} in
:qemu10)
	[ -x "$CACHE/qemu/qemu-system-x86_64" ] || { say "skip: there is no newer QEMU (scripts/fetch-qemu.sh)"; exit 4; }
	PATH=$CACHE/qemu:$PATH ;;
:*) round=" plu.round=${1#*:}" ;;
esac

case $name in
kunit)
	# The kernel ends by itself.
	extra="kunit.enable=1 kunit.autorun=1 kunit_shutdown=poweroff"
	done=''
	stages=6 ;;
like_unpatched) exec "$TOP/scripts/like-unpatched.sh" ;;
luo_*)
	extra="kunit.enable=0 plu.test=$name plu.stages=2 plu.stage=1"
	stages=2 ;;
*)
	topology=$("$program" -q)
	stages=$("$program" -n)
	extra="kunit.enable=0 plu.test=$name plu.stage=1"
	extra+="$round plu.extra $("$program" -c 1)" ;;
esac

make_initrd "$name" "$initrd"
qemu_command "$GUEST/bzImage" "$initrd" "$COMMAND_LINE $extra" "$topology"
verdict=$(run_guest "$log" "$stages" "$done")
rm "$initrd"
if [ "$name" = kunit ] && [ -z "$verdict" ]; then
	verdict=$(cd "$TOP" && scripts/kunit-suites.sh "$log")
fi

case $verdict in
'') exit 0 ;;
skip:*) say "$verdict"; exit 4 ;;
esac
say "$verdict"
show_end "$log"
exit 1
