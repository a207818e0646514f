#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# test.sh [NAME...]: builds what is not up to date and runs all tests, or some. The last line is "N passed, N failed", with
# ", N skipped" when some were. NAME:ROUND is one of the rounds of a test that has more than one, and NAME:qemu10 the test
# with a newer QEMU.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/overlay.sh"
. "$(dirname "$0")/vm.sh"

# Two guests at a time keep two processors busy.
parallel=2

mapfile -t tests < <("$TOP/scripts/list-tests.sh")
if [ $# != 0 ]; then
	for name; do
		printf '%s\n' "${tests[@]}" | grep -qxF -- "${name%%:*}" && continue
		[ -z "$name" ] || say "There is no test \"$name\"."
		say "make check T=NAME, with one of these names, or some:" "${tests[*]}" | fold -s -w 78
		exit 2
	done
	tests=("$@")
fi
check_settings
start=$EPOCHREALTIME

# Everything that is built is built under one lock: nobody may change the work tree in between.
lock
"$TOP/scripts/setup.sh" || exit
# It may have brought QEMU, of which it depends what there is.
[ $# != 0 ] || mapfile -t tests < <("$TOP/scripts/list-tests.sh")
kernels=("$VARIANT")
[[ " ${tests[*]} " != *" config_off "* ]] || kernels+=(off norust)
[[ " ${tests[*]} " != *" like_unpatched "* ]] || [ "$VARIANT" != main ] || kernels+=(plain)
"$TOP/scripts/build-kernel.sh" "${kernels[@]}" || exit
make_guest || exit
# Without it, those tests are skipped.
[[ " ${tests[*]} " != *:qemu10* ]] || "$TOP/scripts/fetch-qemu.sh" || true
unlock

passed=0 failed=0 skipped=0
declare -A name_of=() began=()

# finish_one: waits for any test to end and says how.
finish_one() {
	local pid='' code=0 name took
	wait -n -p pid "${!name_of[@]}" || code=$?
	name=${name_of[$pid]}
	took=$(seconds_since "${began[$pid]}")
	unset "name_of[$pid]"
	case $code in
	0) passed=$(( passed + 1 )); printf 'ok    %-54s %7s s\n' "$name" "$took" ;;
	4) skipped=$(( skipped + 1 )); printf 'skip  %-54s %7s s\n' "$name" "$took" ;;
	*) failed=$(( failed + 1 )); printf 'FAIL  %-54s %7s s\n' "$name" "$took" ;;
	esac
	sed 's/^/      /' "$SCRATCH/$name"
}

for name in "${tests[@]}"; do
	[ ${#name_of[@]} -lt "$parallel" ] || finish_one
	"$TOP/scripts/run-test.sh" "$name" >"$SCRATCH/$name" 2>&1 &
	name_of[$!]=$name
	began[$!]=$EPOCHREALTIME
done
while [ ${#name_of[@]} != 0 ]; do finish_one; done

say "logs: $BUILD/$VARIANT/logs; all of it took $(seconds_since "$start") s"
summary="$passed passed, $failed failed"
[ "$skipped" = 0 ] || summary+=", $skipped skipped"
say "$summary"
exit $(( failed > 0 ))
