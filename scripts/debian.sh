# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Sourced: takes single packages from Debian's other suites, to be unpacked and never installed. apt works on a source
# list, lists and caches of its own here: the system's stay as they are.

# debian_mirror: where this machine gets the packages of its own release from.
debian_mirror() {
	local codename uri
	codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	# shellcheck disable=SC2016 # apt's own variables
	uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $codename" | head -n 1)
	[ -n "$uri" ] || die "this machine's apt knows no mirror of Debian (release '$codename')." \
		"Add one to its sources, or give a kernel tree of your own: KDIR=DIRECTORY"
	echo "$uri"
}

# use_suite SUITE: from now on private_apt looks there.
use_suite() {
	local mirror
	mirror=$(debian_mirror)
	mkdir -p "$CACHE/apt/lists/partial" "$CACHE/apt/cache/archives/partial"
	echo "deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $1 main" \
		>"$CACHE/apt/sources.list"
	private_apt get update -q
}

# private_apt get|cache ARGUMENT...
private_apt() {
	local command=apt-$1
	shift
	"$command" -o Dir::Etc::sourcelist="$CACHE/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::State::Lists="$CACHE/apt/lists" -o Dir::Cache="$CACHE/apt/cache" \
		-o APT::Sandbox::User="" -o Acquire::Languages=none \
		-o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false "$@"
}

# package_version PACKAGE [PREFIX]: the newest one there whose version begins with the prefix, or nothing.
package_version() {
	private_apt cache madison "$1" | awk -v prefix="${2:-}" '$3 != "|" && index($3, prefix) == 1 { print $3 }' |
		sort -V | tail -n 1
}

# download_package PACKAGE VERSION FILE: apt compares the checksum; a download that was cut off leaves nothing.
download_package() {
	local dir
	rm -rf "$CACHE"/download.*
	dir=$(mktemp -d "$CACHE/download.XXXXXX")
	if ! { (cd "$dir" && private_apt get download -q "$1=$2") && mv "$dir"/*.deb "$3"; }; then
		rm -rf "$dir"
		return 1
	fi
	rm -rf "$dir"
}
