# SPDX-License-Identifier: GPL-2.0
#
# Adds up lines "N passed, N failed[, N skipped]" and prints another one.
{ for (i = 2; i <= NF; i += 2) { sub(/,/, "", $i); sum[$i] += $(i - 1) } }
END { printf "%d passed, %d failed%s\n", sum["passed"], sum["failed"], sum["skipped"] ? ", " sum["skipped"] " skipped" : "" }
