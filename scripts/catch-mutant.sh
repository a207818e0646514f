#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# catch-mutant.sh SOUND GUEST TEST...: runs these tests in the guest of a mutant, then all others, until one fails that
# passes in the guest SOUND. Prints its name and what it said. Exit code: 0 none fails, 1 one does, 2 something is wrong.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/overlay.sh"
export SCRATCH

# passes GUEST TEST: what is wrong goes to the file that is named after the test.
passes() {
	local code=0
	GUEST=$1 "$TOP/scripts/run-test.sh" "$2" >"$SCRATCH/$2" 2>&1 || code=$?
	case $code in 0 | 4) ;; *) return 1 ;; esac
}

# caught TEST: it has failed. That counts if it does not when all is well.
caught() {
	local said log=$PLU_BUILD/main/logs/$1
	said=$(head -n 1 "$SCRATCH/$1" | tr -d '\r')
	[ ! -f "$log.log" ] || mv "$log.log" "$log-${GUEST##*/}.log"
	if [ ! -f "$sound/passes-$1" ]; then
		if ! passes "$sound" "$1"; then
			echo "$1 fails without the mutation, too: $(head -n 1 "$SCRATCH/$1")"
			exit 2
		fi
		: >"$sound/passes-$1"
	fi
	echo "$1 ($said)"
	exit 1
}

sound=$1 GUEST=$2
shift 2
mkdir -p "$PLU_BUILD/main/logs"
mapfile -t all < <("$TOP/scripts/list-tests.sh")
if [ -n "${T:-}" ]; then
	read -r -a all <<<"$T"
	set -- "${all[@]}"
fi
for name; do
	[[ " ${all[*]} " == *" $name "* ]] || { echo "there is no test $name"; exit 2; }
done
for name; do
	passes "$GUEST" "$name" || caught "$name"
done
[ "${PLU_QUICK:-0}" != 1 ] || exit 0

# Two guests at a time keep two processors busy.
declare -A name_of=()
finish_one() {
	local pid='' code=0 name
	wait -n -p pid "${!name_of[@]}" || code=$?
	name=${name_of[$pid]}
	unset "name_of[$pid]"
	[ "$code" = 0 ] || failed=$name
}
failed=''
for name in "${all[@]}"; do
	[[ " $* config_off " != *" $name "* ]] || continue
	[ ${#name_of[@]} -lt 2 ] || finish_one
	[ -z "$failed" ] || break
	passes "$GUEST" "$name" &
	name_of[$!]=$name
done
while [ ${#name_of[@]} != 0 ]; do finish_one; done
[ -z "$failed" ] || caught "$failed"
