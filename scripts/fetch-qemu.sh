#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# fetch-qemu.sh: a newer QEMU than the machine's, whose IOMMU does more, and tells the guest more, for tests that are run
# with both: from Debian's backports, unpacked into CACHE/qemu and not installed. There, qemu-system-x86_64 starts it.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/debian.sh"

dest=$CACHE/qemu

unpack() {
	local package version
	use_suite "$(. /etc/os-release && echo "$VERSION_CODENAME")-backports"
	rm -rf "$dest.part"
	mkdir -p "$dest.part/files"
	for package in qemu-system-x86 qemu-system-common qemu-system-data seabios; do
		version=$(package_version "$package")
		[ -n "$version" ] || die "there is no $package in backports."
		download_package "$package" "$version" "$dest.part/$package.deb"
		dpkg-deb -x "$dest.part/$package.deb" "$dest.part/files"
		rm "$dest.part/$package.deb"
	done
	cat >"$dest.part/qemu-system-x86_64" <<-END
		#!/bin/sh
		usr=\${0%/*}/files/usr
		export QEMU_MODULE_DIR="\$usr/lib/x86_64-linux-gnu/qemu"
		exec "\$usr/bin/qemu-system-x86_64" -L "\$usr/share/qemu" -L "\$usr/share/seabios" "\$@"
	END
	chmod +x "$dest.part/qemu-system-x86_64"
	rm -rf "$dest"
	mv "$dest.part" "$dest"
	"$dest/qemu-system-x86_64" --version
}

lock
[ -x "$dest/qemu-system-x86_64" ] || step "QEMU from backports unpacked" unpack
