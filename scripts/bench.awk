# SPDX-License-Identifier: GPL-2.0
#
# The figures of the benchmark, "KEY VALUE FLOOR" each, as a table, or with json=1 as JSON, of which `head` are the first
# lines. Exit code 1: a goal is not met.

function ratio(key) { return floor[key] > 0 ? value[key] / floor[key] : 0 }

# Sets what the goal of a figure is, if it has one, and whether it is met.
function judge(key,    what, part) {
	goal = met = ""
	split(key, part, ".")
	what = key
	sub(/[.].*/, "", what)
	if (key == "retrieve.1") {
		# With a single record what there is but once counts most: two pages that are to be taken over and given back,
		# the list of these, and the index.
		goal = "<= 1.5 x (floor + two pages)"
		met = value[key] <= 1.5 * (floor[key] + 2 * value["page"])
	} else if (what == "retrieve" && key != "retrieve.0" || what == "hit" || what == "miss") {
		goal = "<= 1.25 x floor"
		met = ratio(key) <= 1.25
	} else if (key == "preserve.65536") {
		goal = "<= 1.2 x that of 64, < 1000"
		met = value[key] <= 1.2 * value[what ".64"] && value[key] < 1000
	} else if (key == "unpreserve.65536") {
		goal = "<= 1.2 x that of 64"
		met = value[key] <= 1.2 * value[what ".64"]
	} else if (what == "freeze" && part[2] >= 64) {
		goal = "<= 100"
		met = value[key] <= 100
	} else if (what == "setup") {
		goal = "< 100"
		met = value[key] < 100
	} else if (key ~ /^scale[.].*[.]1000$/) {
		goal = "< 2 x that of 250"
		met = value[key] < 2 * value["scale." part[2] ".250"]
	} else if (what == "resets" && part[4] > 1) {
		goal = "< 2 x one"
		met = value[key] < 2 * value["resets." part[2] ".one.1"]
	} else if (what == "translated" && part[2] == "check") {
		goal = "<= 50"
		met = value[key] <= 50
	} else if (key == "text.all") {
		goal = "< 32768"
		met = value[key] < 32 * 1024
	} else if (key == "boot.on") {
		goal = "<= 1.001 x off"
		met = value[key] <= 1.001 * value["boot.off"]
	}
	if (goal != "") {
		goals++
		failed += !met
	}
}

function heading(text, second) { printf "\n  %-52s %8s %13s %10s %7s\n", text, second, "", "floor", "ratio" }

function row(key, text, n) {
	judge(key)
	printf "  %-52s %8s %13.*f", text, n, decimals, value[key]
	if (floor[key] > 0)
		printf " %10.1f %7.2f", floor[key], ratio(key)
	else
		printf " %10s %7s", "", ""
	printf "%s\n", goal == "" ? "" : "   " (met ? "met:     " : "NOT MET: ") goal
}

# One row for each number of records.
function rows(what, text,    i, key) {
	for (i = 1; i <= nr; i++) {
		key = keys[i]
		if (index(key, what ".") != 1 || key == "retrieve.0")
			continue
		row(key, text, substr(key, length(what) + 2))
		text = ""
	}
}

function table() {
	decimals = 1
	heading("instructions for each, of so many", "")
	rows("retrieve", "retrieve: a record is read and put into the index")
	row("retrieve.0", "  whereof what there is but once: no record at all", "")
	row("page", "  and what C needs to take over a page of KHO, and free it", "")
	rows("hit", "look up an address that has a record")
	rows("miss", "look up an address that has none")
	rows("setup", "set up a device, nothing having been handed over")
	row("first", "  when this is not known yet: the first device", "")
	rows("adopt", "set up a device that was handed over *")
	rows("preserve", "preserve *")
	rows("unpreserve", "unpreserve *")
	rows("freeze", "write it down when the kernel is replaced")
	rows("finish", "finish *")
	row("line", "* and a line in the kernel log, which takes", "")

	heading("instructions for each, of so many in a session", "")
	rows("scale.preserve", "preserve a file with its device")
	rows("scale.freeze", "freeze it when the kernel is replaced")
	rows("scale.retrieve", "retrieve it")
	rows("scale.finish", "finish it")

	heading("milliseconds for all, of so many", "")
	rows("resets.jump.one", "resets by vfio-pci when the kernel is replaced")
	rows("resets.jump.ports", "      each behind a port of its own")
	rows("resets.jump.functions", "      functions of one slot")
	rows("resets.back.one", "vfio-pci is loaded, and all files are bound")
	rows("resets.back.ports", "      each behind a port of its own")
	rows("resets.back.functions", "      functions of one slot")

	decimals = 0
	heading("instructions, for DMA that an IOMMU translates", "")
	row("translated.preserve.4K", "preserve a page table, for each page of it: 4 KiB pages", "")
	row("translated.preserve.2M", "      2 MiB pages", "")
	row("translated.check.4K", "look up what it leads to, for each page: 4 KiB pages", "")
	row("translated.check.2M", "      2 MiB pages", "")
	row("translated.checked.4K", "      all of it, when that was found out before", "")
	row("translated.adopt", "adopt a device in the next kernel, and a line in the log", "")
	row("translated.jump.without", "from the call of reboot to the next test: no such device", "")
	row("translated.jump.with", "      one, which keeps running", "")

	decimals = 1
	print "\n  The least of three counts; what needs a kexec is counted once, so that an interrupt may be in it."
	heading("bytes for each, of so many", "")
	rows("bytes", "memory that is preserved")

	decimals = 0
	heading("bytes", "")
	row("text.crate", "code: the crate", "")
	row("text.exports", "      its parts in C", "")
	row("text.hooks", "      what is called in the PCI core", "")
	row("text.kernel-crate", "      Rust abstractions that were added for it", "")
	row("text.helpers", "      and their helpers in C", "")
	row("text.luo", "      functions that were added to KHO and LUO", "")
	row("text.all", "      all of it", "")
	row("data.all", "data of the crate and the PCI core, constants included", "")

	heading("instructions", "")
	row("boot.off", "boot up to init, with 100 devices: the option off", "")
	row("boot.on", "      on, nothing handed over", "")
	row("boot.after-jump", "      on, after a kexec, nothing handed over", "")
	row("boot.100-incoming", "      on, after a kexec, all 100 devices incoming", "")
	row("jump.none", "from the call of reboot to the next init", "")
	row("jump.100-preserved", "      with 100 devices preserved", "")
}

function unit_of(key) {
	if (key ~ /^resets/)
		return "milliseconds"
	return key ~ /^(bytes|text|data)/ ? "bytes" : "instructions"
}

function as_json(    i, key) {
	printf "{\n%s,\n  \"figures\": {\n", head
	for (i = 1; i <= nr; i++) {
		key = keys[i]
		judge(key)
		printf "    \"%s\": { \"value\": %s", key, value[key]
		printf ", \"unit\": \"%s\"", unit_of(key)
		if (floor[key] > 0)
			printf ", \"floor\": %s, \"ratio\": %.3f", floor[key], ratio(key)
		if (goal != "")
			printf ", \"goal\": \"%s\", \"met\": %s", goal, met ? "true" : "false"
		printf " }%s\n", i < nr ? "," : ""
	}
	printf "  }\n}\n"
}

{ keys[++nr] = $1; value[$1] = $2; floor[$1] = $3 }

END {
	if (json)
		as_json()
	else
		table()
	exit failed > 0
}
