# SPDX-License-Identifier: GPL-2.0
#
# Reads the log of a guest that went from kernel to kernel, and prints what was done in all of them, and how much memory
# they used, at moments at which there was nothing to use it for. Fails if that grew. The first kernel does not count: it
# was started by firmware, and has other memory. With -v watched=1, for a kernel that looks for mistakes and takes memory for
# that, only that counts which no kernel has. In `soak` each kernel fails by itself if it uses much more than the first
# did; this looks for less than that, in all of them.

function mean(values, from, to,   i, sum) {
	for (i = from; i <= to; i++) sum += values[i]
	return sum / (to - from + 1)
}

# By how much is the last third above the first?
function growth(values,   third) {
	third = int((nr + 2) / 3)
	return mean(values, nr - third + 1, nr) - mean(values, 1, third)
}

function row(what, values, limit,   i, least, most, grew) {
	least = most = values[1]
	for (i = 2; i <= nr; i++) {
		if (values[i] < least) least = values[i]
		if (values[i] > most) most = values[i]
	}
	grew = growth(values)
	printf "  %-26s %8d %8d %8d %8d %+9.1f %9.1f\n", what, values[1], values[nr], least, most, grew, limit
	if (grew > limit) failed = 1
}

{ sub(/\r+$/, "") }

match($0, /# pages: /) {
	split(substr($0, RSTART + RLENGTH), word, " ")
	if (++measured == 1) { base = word[1]; next }
	nr++
	used[nr] = base - word[1]; unknown[nr] = word[4]; small[nr] = word[8]
}

# "# jump 3: 8 incoming, 5 finished, 2 carried on"; "# jump 3: unreadable (version 3, not 2)"
match($0, /# jump [0-9]+: /) {
	rest = substr($0, RSTART + RLENGTH)
	if (rest !~ /^[0-9]/) {
		if ($0 ~ /# jump 0: /) next
		sub(/ \(.*/, "", rest)
		state[rest]++
		next
	}
	n = split(rest, part, ", ")
	for (i = 1; i <= n; i++) {
		word_of = part[i]
		sub(/^[0-9]+ /, "", word_of)
		if (!(word_of in total)) order[++kinds] = word_of
		total[word_of] += part[i]
	}
}

END {
	if (kinds) {
		line = ""
		for (i = 1; i <= kinds; i++) line = line (i > 1 ? ", " : "") total[order[i]] " " order[i]
		print "  devices: " line
	}
	for (kind in state) print "  hand-overs that were " (kind == "finished" ? "read" : kind) ": " state[kind]
	if (!nr) exit
	printf "  %-26s %8s %8s %8s %8s %9s %9s\n", "pages of memory:", "first", "last", "least", "most", "growth", "limit"
	row("not in the kernel's hands", used, 0)
	if (!watched) row("of unknown use", unknown, 2)
	if (!watched) row("of small objects", small, nr < 10 ? 64 : nr / 2)
	exit failed
}
