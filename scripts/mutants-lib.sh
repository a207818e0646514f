# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Sourced by mutants.sh: the list of mutations, in scripts/mutants/*.mutants. Each is
#
#	mutant NAME
#	what: what the code does wrong then
#	file: the file in the kernel tree, with patches and overlay
#	tests: those that are expected to catch it, the fastest first
#	-a line that goes away
#	+a line that comes in its place
#	 a line that stays
#
# The lines that go and stay have to be in the file, one after the other, at one place only. Their indentation does not
# count, nor do empty lines between them. `equivalent: why` instead of tests marks a mutation that no test can notice. # begins a comment.

# read_mutants DIRECTORY FILE...: makes a folder of each mutation with a file for each of its parts, and sets the array
# `mutants` to their names.
read_mutants() {
	local dir=$1 file line number name part
	shift
	mutants=()
	for file in "$@"; do
		name='' number=0
		while IFS= read -r line; do
			number=$(( number + 1 ))
			case $line in
			'#'* | '') continue ;;
			'mutant '*)
				name=${line#mutant }
				[ ! -e "$dir/$name" ] || die "${file##*/}:$number: there are two mutants $name."
				mkdir -p "$dir/$name"
				mutants+=("$name")
				continue ;;
			esac
			[ -n "$name" ] || die "${file##*/}:$number: there is no mutant yet that this could belong to: $line"
			part=$dir/$name
			case $line in
			what:\ * | file:\ * | tests:\ * | equivalent:\ *) printf '%s\n' "${line#*: }" >>"$part/${line%%:*}" ;;
			-*) printf '%s\n' "${line#-}" >>"$part/old" ;;
			+*) printf '%s\n' "${line#+}" >>"$part/new" ;;
			[[:space:]]*) printf '%s\n' "${line#?}" | tee -a "$part/old" >>"$part/new" ;;
			*) die "${file##*/}:$number: this cannot be understood: $line" ;;
			esac
		done <"$file"
	done
	for name in "${mutants[@]}"; do
		for part in what file old; do
			[ -s "$dir/$name/$part" ] || die "the mutant $name has no \"$part\"."
		done
		[ -s "$dir/$name/tests" ] || [ -s "$dir/$name/equivalent" ] || die "the mutant $name names no tests."
		[ -e "$dir/$name/new" ] || : >"$dir/$name/new"
	done
}

# select_mutants [PATTERN...]: sets the array `chosen` to those of these names, or to all.
select_mutants() {
	local name pattern found
	chosen=("${mutants[@]}")
	[ $# != 0 ] || return 0
	chosen=()
	for pattern in "$@"; do
		found=
		for name in "${mutants[@]}"; do
			# shellcheck disable=SC2053 # a pattern it is
			if [[ $name == $pattern ]]; then chosen+=("$name"); found=1; fi
		done
		[ -n "$found" ] || die "there is no mutant \"$pattern\"."
	done
}

# mutate DIRECTORY FILE: prints the file with the mutation in it, or fails and says why it does not fit.
mutate() {
	awk -v old="$1/old" -v new="$1/new" '
		# How many lines from here on are those that are wanted? Empty ones between them do not count.
		function matches(at,   i, line) {
			for (line = at; line <= NR && i < nr_want; line++) {
				if (i && bare(text[line]) == "") continue
				if (bare(text[line]) != want[++i]) return 0
			}
			return i == nr_want ? line - at : 0
		}
		function bare(line) { gsub(/^[ \t]+|[ \t]+$/, "", line); return line }
		BEGIN {
			while ((getline line < old) > 0) want[++nr_want] = bare(line)
			while ((getline line < new) > 0) instead[++nr_instead] = line
		}
		{ text[NR] = $0 }
		END {
			for (at = 1; at <= NR; at++) {
				if (lines = matches(at)) { places++; place = at; taken = lines }
			}
			if (places != 1) {
				print (places + 0) " places with: " want[1] >"/dev/stderr"
				exit 1
			}
			for (i = 1; i < place; i++) print text[i]
			for (i = 1; i <= nr_instead; i++) print instead[i]
			for (i = place + taken; i <= NR; i++) print text[i]
		}' "$2"
}

# check_fit: sorts the chosen ones into the arrays `fit`, those to run, and `unfit`.
check_fit() {
	local name path
	fit=() unfit=()
	for name in "${chosen[@]}"; do
		path=$(cat "$work/$name/file")
		if [ ! -f "$own/source/$path" ]; then
			echo "there is no $path" >"$work/$name/unfit"
		elif mutate "$work/$name" "$own/source/$path" 2>"$work/$name/why" >/dev/null; then
			[ -f "$work/$name/equivalent" ] || fit+=("$name")
			continue
		else
			mv "$work/$name/why" "$work/$name/unfit"
		fi
		unfit+=("$name")
	done
}
