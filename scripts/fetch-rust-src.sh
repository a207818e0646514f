#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# fetch-rust-src.sh: gets the sources of Rust's standard library for the rustc that is installed: from rustup if it can,
# else Debian's package of exactly that version, into CACHE/rust-src/VERSION.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/toolchain.sh"
. "$(dirname "$0")/debian.sh"

from_rustup() {
	command -v rustup >/dev/null && [[ $(rustc --print sysroot) == */toolchains/* ]] || return 1
	timeout 120 rustup component add rust-src >/dev/null 2>&1 && find_rust_src >/dev/null
}

from_debian() {
	local suite package
	for suite in $KERNEL_SUITES trixie; do
		use_suite "$suite" || continue
		package=$(package_version rust-src "$version+")
		[ -n "$package" ] || continue
		rm -rf "$dest.part"
		mkdir -p "$dest.part" "${dest%/*}"
		download_package rust-src "$package" "$dest.part/rust-src.deb"
		dpkg-deb --fsys-tarfile "$dest.part/rust-src.deb" |
			tar -x -C "$dest.part" --strip-components=4 "./usr/src/rustc-$version/library"
		rm -f "$dest.part/rust-src.deb"
		mv "$dest.part" "$dest"
		return
	done
	echo "none of Debian's suites ($KERNEL_SUITES trixie) has rust-src $version" >&2
	return 1
}

version=$(tool_version rustc)
dest=$CACHE/rust-src/$version
lock
find_rust_src >/dev/null && exit
start=$EPOCHREALTIME
if from_rustup; then
	printf '  %-58s %7s s\n' "rust-src $version from rustup" "$(seconds_since "$start")"
else
	step "rust-src $version from Debian" from_debian ||
		die "the sources of Rust's standard library (rust-src, exactly version $version) are missing." \
		    "With rustup: rustup component add rust-src. Or say where they are: RUST_LIB_SRC=.../library"
fi
