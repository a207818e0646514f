#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# build-guest.sh DIRECTORY: makes there what a guest starts from: bzImage, and rootfs/ with busybox, the selftests and their
# init, the kernel's modules, and the kernel again for the next kexec, of which vm.sh makes an initramfs for each test by
# rootfs.list. rootfs-off.list has the kernel that lacks the feature, and bzImage-plain is one without patches, if they have
# been built.
# PLU_GUEST=OTHER makes it a copy of another guest, with another kernel and its own modules.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/toolchain.sh"
. "$(dirname "$0")/tree.sh"

selftests=tools/testing/selftests
out=$1

# All are static: with nolibc from the tree, those of VFIO with the machine's C library.
build_tests() {
	local dir=$obj/selftests tests=$out/rootfs/tests name hash
	# make does not see these.
	hash=$({ find "$obj/usr/include" "$SOURCE/tools/include/nolibc" -type f -print0 | sorted_hash; toolchain_id; } | sha256sum)
	if [ "$(cat "$dir/made-with" 2>/dev/null)" != "$hash" ]; then rm -rf "$dir"; fi
	mkdir -p "$dir/ours" "$dir/luo" "$dir/vfio-ours" "$dir/vfio" "$tests/vfio"
	printf '%s\n' "$hash" >"$dir/made-with"
	if [ -f "$SOURCE/$selftests/pci_liveupdate/Makefile" ]; then
		"${KMAKE[@]}" -C "$SOURCE/$selftests/pci_liveupdate" OUTPUT="$dir/ours" \
			KHDR_INCLUDES="-isystem $obj/usr/include" INSTALL_PATH="$tests" install
	fi
	if [ -f "$SOURCE/$selftests/vfio_liveupdate/Makefile" ]; then
		"${KMAKE[@]}" -C "$SOURCE/$selftests/vfio_liveupdate" OUTPUT="$dir/vfio-ours" \
			KHDR_INCLUDES="-isystem $obj/usr/include" INSTALL_PATH="$tests" install
		# VFIO's own
		"${KMAKE[@]}" -C "$SOURCE/$selftests/vfio" OUTPUT="$dir/vfio" LDFLAGS=-static \
			KHDR_INCLUDES="-isystem $obj/usr/include" INSTALL_PATH="$tests/vfio" install
	fi
	# LUO's own, built as its vmtest.sh does it
	for name in luo_kexec_simple luo_multi_session luo_stress_files luo_stress_sessions; do
		if [ ! -f "$dir/luo/$name" ] || [ "$SOURCE/$selftests/liveupdate/$name.c" -nt "$dir/luo/$name" ]; then
			"$clang" -static -O2 -nostdinc -nostdlib -fuse-ld=lld -I "$obj/usr/include" \
				-isystem "$("$clang" -print-resource-dir)/include" \
				-I "$SOURCE/tools/include/nolibc" -I "$SOURCE/$selftests/liveupdate/lib/include" \
				-o "$dir/luo/$name" "$SOURCE/$selftests/liveupdate/"{"$name.c",lib/lu_utils.c}
		fi
		cp "$dir/luo/$name" "$tests/"
	done
}

# install_kernel VARIANT ROOT IMAGE MODULES: from its object folder to these names in the guest's root
install_kernel() {
	local from=$BASE/$1 root=$2 extra
	mkdir -p "$root/boot" "$root/$4"/{external,vfio,native}
	cp --remove-destination "$from/arch/x86/boot/bzImage" "$root/boot/$3"
	# Not all that lies there: a module that is no longer configured does too. Those of VFIO, and the drivers that a
	# distribution has for the devices, are loaded by who wants them.
	sed 's/\.o$/.ko/' "$from/modules.order" >"$from/modules.list"
	(
		cd "$from"
		sed -E '\,/(vfio|usb|nvme)/,d' "$from/modules.list" | xargs -r cp --remove-destination -t "$root/$4"
		sed -n '\,/vfio/,p' "$from/modules.list" | xargs -r cp --remove-destination -t "$root/$4/vfio"
		sed -nE '\,/(usb|nvme)/,p' "$from/modules.list" | xargs -r cp --remove-destination -t "$root/$4/native"
	)
	[ -z "${PLU_GUEST:-}" ] || return 0
	for extra in pci_liveupdate vfio_liveupdate; do
		[ -d "$SOURCE/$selftests/$extra/modules" ] || continue
		"${KMAKE[@]}" -C "$from" M="$SOURCE/$selftests/$extra/modules" MO="$from/external/$extra" modules
		find "$from/external/$extra" -name '*.ko' -exec cp -t "$root/$4/external" {} +
	done
}

# list ROOT: what is in there, in lines for gen_init_cpio
list() {
	(
		cd "$1"
		find . -mindepth 1 -type d -printf 'dir /%P %m 0 0\n' | sort
		find . -mindepth 1 -type l -printf 'slink /%P %l 777 0 0\n'
		find . -type f -printf "file /%P $PWD/%P %m 0 0\n" | sort
	)
}

build_guest() {
	mkdir -p "$out/rootfs"/{bin,dev,proc,sys,tmp,tests}
	if [ -n "${PLU_GUEST:-}" ]; then
		cp -rl "$PLU_GUEST/rootfs" "$out/"
	else
		cp "$(command -v busybox)" "$out/rootfs/bin/busybox"
		build_tests
		[ ! -f "$out/rootfs/tests/init" ] || mv "$out/rootfs/tests/init" "$out/rootfs/init"
	fi
	install_kernel "$VARIANT" "$out/rootfs" bzImage modules
	cp "$obj/arch/x86/boot/bzImage" "$out/bzImage"
	list "$out/rootfs" >"$out/rootfs.list"
	cp "$obj/usr/gen_init_cpio" "$out/"
	[ ! -f "$BASE/plain/built" ] || cp "$BASE/plain/arch/x86/boot/bzImage" "$out/bzImage-plain"
	if [ -f "$BASE/off/built" ]; then
		install_kernel off "$out/rootfs-off" bzImage-off modules-off
		list "$out/rootfs-off" >"$out/rootfs-off.list"
	fi
}

lock
use_toolchain
find_base
obj=$BASE/$VARIANT
clang=clang
[ "$LLVM" = 1 ] || clang=clang$LLVM
step "guest made ($VARIANT)" build_guest
