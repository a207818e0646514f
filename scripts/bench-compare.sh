#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# bench-compare.sh A B: compares two files that bench.sh has written, figure by figure.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

FORMAT='pci-liveupdate-bench 1'

if [ $# != 2 ] || [ -z "$1" ] || [ -z "$2" ]; then
	die "two files are wanted: make bench-compare A=build/bench.json B=OTHER.json" "Both from make bench."
fi

# fields FILE: "KEY VALUE" for each figure. It need not be broken into lines as it was written.
fields() {
	tr '\n' ' ' <"$1" | grep -oE '"[a-z0-9.-]+" *: *\{ *"value" *: *[0-9.]+' |
		sed -E 's/^"([^"]*)".*[^0-9.]([0-9.]+)$/\1 \2/'
}

# said FILE WORD: what the file says of itself
said() { tr '\n' ' ' <"$1" | grep -oE "\"$2\" *: *\"[^\"]*\"" | head -n 1 | sed -E 's/.*: *"(.*)"$/\1/'; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for file in "$1" "$2"; do
	[ -f "$file" ] || die "$file: no such file." "make bench writes build/bench.json."
	[ -r "$file" ] || die "$file cannot be read."
	[ "$(said "$file" format || true)" = "$FORMAT" ] ||
		die "$file is not what make bench writes:" "it lacks \"format\": \"$FORMAT\"."
done
fields "$1" >"$work/a" || die "$1 has no figures."
fields "$2" >"$work/b" || die "$2 has no figures."

for file in "$1" "$2"; do
	say "$file: $(said "$file" date), Linux $(said "$file" kernel), $(said "$file" rustc), $(said "$file" qemu)"
done
LC_ALL=C awk '
	BEGIN { printf "\n%-26s %14s %14s %9s\n", "", "A", "B", "B / A" }
	FILENAME != first { first = FILENAME; file++ }
	file == 1 { a[$1] = $2; next }
	!($1 in a) { printf "%-26s %14s %14s\n", $1, "-", $2; next }
	{
		printf "%-26s %14s %14s %9s\n", $1, a[$1], $2, (a[$1] > 0 ? sprintf("%.3f", $2 / a[$1]) : "-")
		delete a[$1]
	}
	END { for (key in a) printf "%-26s %14s %14s\n", key, a[key], "-" }
' "$work/a" "$work/b"
