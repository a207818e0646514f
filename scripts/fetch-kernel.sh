#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# fetch-kernel.sh [-q|-p]: gets the kernel's sources from Debian, into CACHE/linux-VERSION/source.
#   -q  only asks whether they are there
#   -p  prints the folder CACHE/linux-VERSION
# A folder of that name is always whole: it is unpacked beside its place and renamed when done.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/debian.sh"

newest_unpacked() {
	local dir
	for dir in "$CACHE"/linux-"$KERNEL_SERIES".*; do
		[ ! -d "$dir/source" ] || echo "$dir"
	done | sort -V | tail -n 1
}

newest_downloaded() {
	find "$CACHE" -maxdepth 1 -name "${KERNEL_PACKAGE}_*.deb" | sort -V | tail -n 1
}

download() {
	local suite version reached=
	for suite in $KERNEL_SUITES; do
		use_suite "$suite" || continue
		reached=1
		version=$(package_version "$KERNEL_PACKAGE")
		[ -n "$version" ] || continue
		download_package "$KERNEL_PACKAGE" "$version" "$CACHE/${KERNEL_PACKAGE}_$version.deb"
		return
	done
	[ -n "$reached" ] || die "the mirror of Debian that this machine uses cannot be reached."
	die "none of Debian's suites ($KERNEL_SUITES) has $KERNEL_PACKAGE any more."
}

unpack() {
	local deb=$1 dir=$2
	need_space "$CACHE" 4000 "the kernel's sources and a build"
	rm -rf "$dir.part"
	mkdir -p "$dir.part" "$dir"
	if dpkg-deb --fsys-tarfile "$deb" | tar -xO "./usr/src/$KERNEL_PACKAGE.tar.xz" |
	   tar -xJ --strip-components=1 -C "$dir.part"; then
		sync -f "$dir.part"
		mv "$dir.part" "$dir/source"
	else
		rm -rf "$dir.part" "$deb"
		echo "$deb could not be unpacked and was deleted; trying again downloads it anew." >&2
		return 1
	fi
}

case ${1:-} in
-q) [ -n "$(newest_unpacked)" ] || exit 1; exit ;;
-p) newest_unpacked; exit ;;
esac

lock
deb=$(newest_downloaded)
if [ -z "$deb" ]; then
	need_space "$CACHE" 4500 "the kernel's sources and a build"
	step "$KERNEL_PACKAGE downloaded" download || die "$KERNEL_PACKAGE could not be downloaded (see above)." \
		"Give a kernel tree of your own: KDIR=DIRECTORY, or try again."
	deb=$(newest_downloaded)
fi
version=${deb##*_}
version=${version%.deb}
# kbuild is happiest with plain names
step "Linux ${version%%-*} unpacked" unpack "$deb" "$CACHE/linux-${version//[^0-9A-Za-z.-]/.}"
