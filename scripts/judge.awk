# SPDX-License-Identifier: GPL-2.0
#
# Reads a guest's serial log and prints what is wrong with it, a line each; nothing when the test has passed, or
# "skip: why". `-v done=TEXT` is what the guest says at the end when all went well.
#
# A kernel that warns, oopses, panics or finds a leak fails the test, unless the test said before:
#	# expect-warning: <a part of the message>
# (`expect-qemu: <a part of it>` is for QEMU's own messages, which are not here: see vm.sh)
# and a warning that was announced has to come, unless it was with accept-warning. So has a panic, with which the guest then ends well:
#	# expect-panic: <a part of the message>
# or goes on, in a kernel that was loaded for that, with expect-crash.

function bad(why) { if (++nr_bad <= 12) print why }

# The same warning may be announced, and come, more than once.
function announced(line,   i, known) {
	for (i = 1; i <= nr_expect; i++)
		if (index(line, expect[i])) {
			known = 1
			if (!seen[i]) { seen[i] = 1; break }
		}
	return known
}

{
	line = $0
	sub(/\r+$/, "", line)
	sub(/^\[ *[0-9]+\.[0-9]+\]( *\[ *[TC][0-9]+\])? ?/, "", line)
}

# A test's announcement
match(line, /# (expect|accept)-warning: /) {
	expect[++nr_expect] = substr(line, RSTART + RLENGTH)
	optional[nr_expect] = line ~ /# accept-warning: /
	next
}

match(line, /# expect-panic: /) {
	panic = substr(line, RSTART + RLENGTH)
	next
}

match(line, /# expect-crash: /) {
	crash = substr(line, RSTART + RLENGTH)
	next
}

{ said = announced(line) }

# A kernel's warning is several lines; its text stands in one of them.
line ~ /-+\[ cut here \]-+/ { splat = 1; forgiven = 0; culprit = "" }
splat && said { forgiven = 1 }
line ~ /---\[ end trace/ {
	if (splat && !forgiven)
		bad("the kernel warned: " culprit)
	splat = 0
	next
}
splat && culprit == "" && line ~ /^(WARNING|kernel BUG|BUG|Oops|UBSAN)/ { culprit = line }

# pciehp takes its reset_lock in both orders with that of the PCI core, also where nothing of ours is, and vfio-pci resets a
# slot with the lock of its set of devices, which it takes when one is removed: lockdep says so once. In such a cycle there
# are these three locks and no other.
line ~ /possible circular locking dependency/ { cycle = line; locks = strange = 0; next }
cycle != "" {
	if ((line ~ / at: / && ++locks <= 2 || line ~ /^-> #/) &&
	    line !~ /\((&ctrl->reset_lock|pci_rescan_remove_lock|&new_dev_set->lock)\)/)
		strange = 1
	if (line ~ /liveupdate|luo_|kho_|vfio_device_((un)?freeze|end_use)/) strange = 1
	if (line ~ /^stack backtrace:/) {
		if (strange) bad("the kernel complained: " cycle)
		cycle = ""
	}
}

# Races in other parts of the kernel are for others to find: in one that is ours, one of the two accesses is by a function of
# ours or what it calls, within a few levels, and not what prints its messages.
line ~ /^BUG: KCSAN: / { race = line; ours = frames = 0 }
race != "" {
	if (line ~ / to 0x[0-9a-f]+ of [0-9]+ bytes by /) frames = 8
	else if (line ~ /printk/) frames = 0
	else if (frames && line ~ /^ /) { frames--; if (line ~ /liveupdate|luo_|kho_|vfio_device_((un)?freeze|end_use)/) ours = 1 }
	if (line ~ /^=+$/) {
		if (ours) bad("the kernel complained: " race)
		race = ""
	}
}

race == "" && !splat && !said && (line ~ /^(WARNING|BUG): / || line ~ /(KASAN|UBSAN|KFENCE): / || line ~ /^INFO: (task|rcu|lockdep|trying|possible)/ ||
	line ~ /(rcu|RCU): INFO: / || line ~ /suspicious RCU usage/ || line ~ /kmemleak: [1-9][0-9]* new suspected/ ||
	line ~ /^unreferenced object/ || line ~ /sysfs: cannot create duplicate|ODEBUG: / || line ~ /rust_kernel: panicked|panicked at/) {
	bad("the kernel complained: " line)
}
# What an IOMMU keeps a device from, which nobody expected to try
!said && line ~ /^DMAR: \[(DMA|INTR-REMAP)/ { bad("a device was blocked: " line) }
panic != "" && line ~ /Kernel panic - not syncing/ && index(line, panic) {
	panicked = 1
	next
}
crash != "" && line ~ /Kernel panic - not syncing/ && index(line, crash) { next }
line ~ /Kernel panic - not syncing/ || line ~ /^(Oops|kernel BUG)/ || line ~ /general protection fault|double fault|unable to handle/ {
	bad("the kernel died: " line)
	splat = 0
}

# Results
line ~ /^ *not ok [0-9]/ && line !~ /# (SKIP|TODO)/ { bad("failed: " line) }
line ~ /^ *ok [0-9]/ { if (line ~ /# SKIP/) skipped++; else passed++ }
line ~ /^ *1\.\.0 *# *(SKIP|skip)/ { skipped++; reason = line; sub(/.*# *(SKIP|skip) */, "", reason) }
line ~ /^ *Bail out!/ { bad("gave up: " line) }
line ~ /^plu: / && line !~ /^plu: (stage [0-9]+ of|all stages)/ { remark = line }
done != "" && index(line, done) { finished = 1 }
# A test that does not apply to this kernel, in its first stage
line ~ /^plu: stage 1 skipped$/ && !passed { finished = 1 }

END {
	if (cycle != "")
		bad("the kernel complained: " cycle)
	if (race != "")
		bad("the kernel complained: " race)
	if (splat && !forgiven)
		bad("the kernel warned: " culprit)
	for (i = 1; i <= nr_expect; i++)
		if (!seen[i] && !optional[i])
			bad("a warning was expected and did not come: " expect[i])
	if (panic != "" && !panicked)
		bad("a panic was expected and did not come: " panic)
	if (NR == 0)
		bad("the guest said nothing at all")
	else if (done != "" && !finished && !panicked)
		bad("the guest ended without \"" done "\"" (remark != "" ? ", its last word: " remark : ""))
	if (nr_bad > 12)
		print "... and " nr_bad - 12 " more"
	if (!nr_bad && skipped && !passed)
		print "skip: " (reason != "" ? reason : "the test has nothing to do here")
}
