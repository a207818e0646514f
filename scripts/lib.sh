# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Sourced by every script: where things are, how to speak to the user, and the lock on the cache.
#
# Settings come from the environment, where make puts what it was given: KDIR, DEBUG, ACCEL, LLVM, V, T.

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/pci-liveupdate
BUILD=${PLU_BUILD:-$TOP/build}
export TOP CACHE BUILD
export LC_ALL=C.UTF-8

# The Debian package with the kernel that the patches are made for, and the suites that may have it.
KERNEL_SERIES=7.3
KERNEL_PACKAGE=linux-source-$KERNEL_SERIES
KERNEL_SUITES="trixie-backports forky sid"
export KERNEL_SERIES KERNEL_PACKAGE KERNEL_SUITES

# A kernel can be built in more than one way; each has an object folder of its own.
case ${DEBUG:-0} in
1) VARIANT=debug ;;
kcsan) VARIANT=kcsan ;;
bench) VARIANT=bench ;;
*) VARIANT=main ;;
esac
export VARIANT

[ "${V:-0}" = 1 ] && set -x

# No script ends without a word.
set -E
trap 'echo "${0##*/}: line $LINENO: failed: $BASH_COMMAND" >&2' ERR

# say LINE...
say() { printf '%s\n' "$@"; }

die() {
	printf '\nerror: %s\n' "$1" >&2
	shift
	[ $# = 0 ] || printf '       %s\n' "${@//$'\n'/$'\n'       }" >&2
	exit 1
}

# seconds_since START: with a tenth; START is a value of $EPOCHREALTIME.
seconds_since() {
	local us=$(( ${EPOCHREALTIME/[.,]/} - ${1/[.,]/} ))
	printf '%d.%d' $(( us / 1000000 )) $(( us / 100000 % 10 ))
}

# step TEXT COMMAND...: runs the command, its output going to a log that is shown when it fails.
# A function ends at its first command that fails, unless `step` itself is part of a condition.
step() {
	local text=$1 start=$EPOCHREALTIME log code trap_err
	shift
	mkdir -p "$CACHE/logs"
	log=$(mktemp "$CACHE/logs/step.XXXXXX")
	trap_err=$(trap -p ERR)
	# As part of a condition here, too, `set -e` would have no effect in it.
	trap - ERR
	set +e
	(set -e; "$@") >"$log" 2>&1
	code=$?
	set -e
	eval "$trap_err"
	if [ "$code" = 0 ]; then
		rm -f "$log"
		printf '  %-58s %7s s\n' "$text" "$(seconds_since "$start")"
	else
		printf '  %-58s failed after %s s\n' "$text" "$(seconds_since "$start")"
		tail -n 25 "$log" >&2
		say "the whole output: $log" >&2
		return 1
	fi
}

# What changes the cache does it alone: `lock` waits until nobody else does.
# A script that was started by one that holds the lock does not wait for its own parent.
lock() {
	[ "${PLU_LOCKED:-}" != 1 ] || return 0
	mkdir -p "$CACHE"
	exec {lock_fd}>"$CACHE/lock"
	if ! flock -n "$lock_fd"; then
		say "  waiting for another build that uses $CACHE ..."
		flock "$lock_fd"
	fi
	export PLU_LOCKED=1
}

unlock() {
	[ -z "${lock_fd:-}" ] || exec {lock_fd}>&-
	unset PLU_LOCKED lock_fd
}

# as_root COMMAND...: runs it as root. can_be_root: could it?
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
can_be_root() { [ "$(id -u)" = 0 ] || { command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; }; }

# need_space DIRECTORY MEGABYTES WHAT-FOR
need_space() {
	local free
	free=$(df --output=avail -BM "$1" | tail -n 1 | tr -dc 0-9)
	[ "$free" -ge "$2" ] ||
		die "not enough room for $3: $2 MB wanted, $free MB free in $1." \
		    "Free some, or put the cache elsewhere with XDG_CACHE_HOME=DIRECTORY."
}

# version_at_least HAVE WANT
version_at_least() { [ "$(printf '%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

# sorted_hash: one hash for the files that are named on standard input, ended by zero bytes.
sorted_hash() { sort -z | xargs -0r sha256sum | sha256sum | cut -c1-32; }
