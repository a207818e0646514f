#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# mutants.sh [-n|-q] [NAME...]: would the tests notice? Takes the mutations of scripts/mutants/ one by one, or those of
# these names (patterns): changes the code, builds it, and runs the tests that the mutation names, then all others,
# until one fails, which has caught it. Fails if any mutation survives, or is none: its code is not there, or does not
# compile. The result is also in build/mutants.txt.
#   -n  only asks whether all mutations fit the code
#   -q  takes no tests but those that the mutations name
#
# T=NAME takes this test and no other, for all mutations. All is done with copies: the folders that other builds use are left alone.
# One mutation is built while the tests of the one before run. config_off is not among the tests: its other kernel
# would have to be built each time.
#
# Functions are called by `step` and by a trap:
# shellcheck disable=SC2317
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/toolchain.sh"
. "$(dirname "$0")/tree.sh"
. "$(dirname "$0")/mutants-lib.sh"

only_fit=
case ${1:-} in
-n) only_fit=1; shift ;;
-q) export PLU_QUICK=1; shift ;;
esac
[ "$VARIANT" = main ] || die "mutations are tested with the kernel main."

work=$SCRATCH/mutants
read_mutants "$work" "$TOP"/scripts/mutants/*.mutants
select_mutants "$@"

lock
"$TOP/scripts/setup.sh" || exit
use_toolchain
find_base
own=$BASE/mutants

# What differs from the last time gets the time of now, so that it is compiled again, a mutation that was never undone too.
copy_source() {
	mkdir -p "$own/source"
	rsync -a --delete --itemize-changes "$BASE/source/" "$own/source/" | sed -n 's/^>f[^ ]* //p' >"$SCRATCH/copied"
	[ ! -d "$own/main" ] || (cd "$own/source" && tr '\n' '\0' <"$SCRATCH/copied" | xargs -0r touch)
}

copy_main() {
	copy_objects "$BASE/main" "$own/main"
	grep -rlIZF "$BASE/source" "$own/main" --include='*.cmd' --include='*.d' |
		xargs -0r sed -i "s,$BASE/source,$own/source,g"
}

same_config() { cmp -s "$BASE/main/.config" "$own/main/.config" && cmp -s "$BASE/main/toolchain" "$own/main/toolchain"; }

# An image that is small is not worth the time that it takes.
build() {
	printf '#!/bin/sh\nexec gzip -1 -n\n' >"$own/gzip"
	chmod +x "$own/gzip"
	"${KMAKE[@]}" -C "$own/source" O="$own/main" "KGZIP=$own/gzip" bzImage modules headers >"$own/build.log" 2>&1
}

# make_guest DIRECTORY [OTHER]: but for the kernel a copy of the other one
make_guest() {
	mkdir -p "$1"
	PLU_BASE=$own PLU_LOCKED=1 PLU_GUEST=${2:-} "$TOP/scripts/build-guest.sh" "$1"
}

if [ -n "$only_fit" ]; then
	update_tree
	own=$BASE
	check_fit
	for name in "${unfit[@]}"; do say "$name does not fit the code any more: $(cat "$work/$name/unfit")"; done
	say "$(( ${#chosen[@]} - ${#unfit[@]} )) mutants fit, ${#unfit[@]} do not"
	exit $(( ${#unfit[@]} > 0 ))
fi

# What follows is done with copies, which nobody waits for but other runs of this script.
mkdir -p "$own"
exec {own_lock}>"$own/lock"
flock -n "$own_lock" || die "other mutants are being tested: $own is in use."
"$TOP/scripts/build-kernel.sh" main plain || exit
[ -d "$own/source" ] || need_space "$CACHE" 4000 "copies of a kernel's sources and objects"
same_config || rm -rf "$own/main"
step "sources copied" copy_source
[ -d "$own/main" ] || step "objects copied" copy_main
# No mutation is in this one.
ln -sfn ../plain "$own/plain"
unlock
step "kernel built without a mutation" build
export PLU_BUILD=$BUILD/mutants
rm -rf "$PLU_BUILD"
mkdir -p "$PLU_BUILD/guests"
guests=$(mktemp -d "$PLU_BUILD/guests/XXXXXX")
make_guest "$guests/none" || exit

started=$EPOCHREALTIME
result=$BUILD/mutants.txt
caught=0 survivors=() broken=()
job='' job_name='' job_began=''
mutated=''

undo() {
	[ -n "$mutated" ] || return 0
	# With the time of now, so that it is compiled again.
	cp "$work/original" "$own/source/$mutated.new"
	mv "$own/source/$mutated.new" "$own/source/$mutated"
	mutated=''
}

end() {
	trap '' INT TERM HUP
	[ -z "$job" ] || kill -- "-$job" 2>/dev/null || true
	undo
	rm -rf "$SCRATCH" "$guests"
}
trap end EXIT
trap 'exit 130' INT TERM HUP

report() {
	say "$1"
	printf '%s\n' "$1" >>"$result"
}

count_of() { printf '%*d/%d' "${#total}" "$1" "$total"; }

# finish_job: waits for the tests of the last mutation that was built and says what came of them.
finish_job() {
	local code=0 verdict
	[ -n "$job" ] || return 0
	wait "$job" || code=$?
	job=''
	verdict=$(head -c 300 "$work/$job_name/verdict")
	case $code in
	0) survivors+=("$job_name"); verdict="SURVIVED: $(cat "$work/$job_name/what")" ;;
	1) caught=$(( caught + 1 )); verdict="caught by $verdict" ;;
	*) broken+=("$job_name"); verdict="ERROR: $verdict" ;;
	esac
	report "$job_count $job_name: $verdict, $(seconds_since "$job_began") s"
	rm -rf "${guests:?}/$job_name"
}

# try NAME: builds the mutant, and starts its tests when those of the one before are done.
try() {
	local name=$1 began=$EPOCHREALTIME made=1 path hinted

	read -r path <"$work/$name/file"
	mutated=$path path=$own/source/$path
	cp "$path" "$work/original"
	mutate "$work/$name" "$path" >"$work/mutated" || exit
	mv "$work/mutated" "$path"
	{ build && make_guest "$guests/$name" "$guests/none"; } >"$work/guest.log" 2>&1 || made=
	undo

	finish_job
	if [ -z "$made" ]; then
		cat "$own/build.log" "$work/guest.log" >"$PLU_BUILD/$name.log"
		broken+=("$name")
		report "$(count_of "$number") $name: ERROR: does not compile: $(grep -m1 -E '(^|[^_a-z])error(\[|:| )' "$PLU_BUILD/$name.log" || tail -n 1 "$PLU_BUILD/$name.log")"
		return
	fi
	job_name=$name job_began=$began job_count=$(count_of "$number")
	read -r -a hinted <"$work/$name/tests"
	setsid "$TOP/scripts/catch-mutant.sh" "$guests/none" "$guests/$name" "${hinted[@]}" >"$work/$name/verdict" 2>&1 </dev/null &
	job=$!
}

commit=$(git -C "$TOP" describe --always --dirty 2>/dev/null || echo unknown)
printf '# %s, %s, Linux %s\n' "$(date -u '+%F %R UTC')" "$commit" "$(kernel_version "$own/source")" >"$result"
equivalent=0 number=0
check_fit
for name in "${unfit[@]}"; do report "$name: ERROR: does not fit the code any more: $(cat "$work/$name/unfit")"; done
total=${#fit[@]}
for name in "${chosen[@]}"; do
	if [ -f "$work/$name/equivalent" ] && [ ! -f "$work/$name/unfit" ]; then equivalent=$(( equivalent + 1 )); fi
done
for name in "${fit[@]}"; do
	number=$(( number + 1 ))
	try "$name"
done
finish_job

report "$(( total + ${#unfit[@]} )) mutants, $caught caught, ${#survivors[@]} survived, $equivalent equivalent$(
	printf ', %d in error' $(( ${#broken[@]} + ${#unfit[@]} ))); $(seconds_since "$started") s"
[ ${#survivors[@]} = 0 ] || report "survivors: ${survivors[*]}"
[ ${#broken[@]} = 0 ] || report "in error: ${broken[*]}"
[ ${#unfit[@]} = 0 ] || report "not fitting: ${unfit[*]}"
exit $(( ${#survivors[@]} + ${#broken[@]} + ${#unfit[@]} > 0 ))
