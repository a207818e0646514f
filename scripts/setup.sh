#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# setup.sh [build|lint]: finds out what this machine lacks and gets it: Debian's packages, bindgen, Rust's sources and
# (without KDIR) the kernel's. Says nothing when nothing is missing. What can run side by side does.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/toolchain.sh"
. "$(dirname "$0")/overlay.sh"

[ -z "${KDIR:-}" ] || check_kernel_tree "$KDIR"
purpose=${1:-build}
release=$(. /etc/os-release && [ "$ID" = debian ] && echo "${VERSION_ID:-testing}") || release=

# want COMMAND-OR-FILE PACKAGE: notes the package when the command or file is not there.
missing=()
want() {
	case $1 in
	/*) [ -e "$1" ] ;;
	*) command -v "$1" >/dev/null ;;
	esac || missing+=("$2")
}

want_packages() {
	want flex flex
	want bison bison
	want bc bc
	want cpio cpio
	want rsync rsync
	want perl perl
	want patch patch
	want git git
	want xz xz-utils
	want flock util-linux
	want depmod kmod
	want /usr/include/gelf.h libelf-dev
	want /usr/include/uuid/uuid.h uuid-dev
	want /usr/include/openssl/ssl.h libssl-dev
	want /usr/include/stdio.h libc6-dev
	want qemu-system-x86_64 qemu-system-x86
	[ "$(busybox 2>/dev/null | head -c 7)" = BusyBox ] && ! ldd "$(command -v busybox)" >/dev/null 2>&1 ||
		missing+=(busybox-static)
	if ! find_llvm >/dev/null; then
		if [ "$release" = 12 ]; then
			missing+=("clang-$LLVM_DEBIAN12" "lld-$LLVM_DEBIAN12" "llvm-$LLVM_DEBIAN12"
				  "libclang-$LLVM_DEBIAN12-dev")
		else
			missing+=(clang lld llvm libclang-dev)
		fi
	fi
	# Debian has had a rustc that is new enough since its release 13.
	if [ "$release" != 12 ] && [ -n "$release" ] && ! command -v rustc >/dev/null; then
		missing+=(rustc rust-src bindgen)
		[ "$purpose" != lint ] || missing+=(rustfmt rust-clippy)
	fi
	[ "$purpose" = lint ] || return 0
	want shellcheck shellcheck
	want python3 python3
}

install_packages() {
	can_be_root || die "these packages are missing: ${missing[*]}" \
		"Installing them takes root, and there is no sudo that can be used here. As root, run:" \
		"  apt-get update && apt-get install --no-install-recommends ${missing[*]}"
	# sudo may want a password, which is not to be asked for with the output going to a log.
	as_root true
	step "list of packages brought up to date" as_root apt-get update -q || die "apt-get update failed (see above)."
	mirror_known=1
	say "  packages to install: ${missing[*]}"
	step "${#missing[@]} packages and what they need installed" as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get install -q -y --no-install-recommends "${missing[@]}" ||
		die "apt-get could not install what is missing (see above): ${missing[*]}"
}

check_rust() {
	local have
	command -v rustc >/dev/null ||
		die "there is no rustc; $RUSTC_MIN or later is wanted." \
		    "Debian 12 has none that is new enough: install rustup (https://rustup.rs), then: rustup toolchain install stable" \
		    "Debian 13: apt-get install rustc rust-src bindgen rustfmt rust-clippy"
	have=$(tool_version rustc)
	version_at_least "${have:-0}" "$RUSTC_MIN" ||
		die "$(command -v rustc) is version ${have:-unknown}; $RUSTC_MIN or later is wanted." \
		    "With rustup: rustup update stable. Debian 13: apt-get install rustc"
	[ "$purpose" != lint ] && return
	local tool
	for tool in rustfmt clippy-driver; do
		"$tool" --version >/dev/null 2>&1 ||
			die "there is no $tool, which make lint needs." \
			    "With rustup: rustup component add rustfmt clippy. Debian 13: apt-get install rustfmt rust-clippy"
	done
}

bindgen_missing() { ! version_at_least "$(v=$(tool_version bindgen); echo "${v:-0}")" "$BINDGEN_MIN"; }

install_bindgen() {
	local linker=clang
	bindgen_missing || return 0
	command -v cargo >/dev/null ||
		die "bindgen $BINDGEN_MIN or later is wanted ($(v=$(tool_version bindgen); echo "${v:-none}") is there)." \
		    "There is no cargo to build it with." \
		    "With rustup cargo is part of the toolchain. Debian 13: apt-get install bindgen"
	[ "$(find_llvm)" = 1 ] || linker=clang$(find_llvm)
	# No other C compiler need be there than the kernel's.
	CC=$linker CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER=$linker \
		step "bindgen $BINDGEN_VERSION built (into the cache)" \
		cargo install bindgen-cli --version "$BINDGEN_VERSION" --locked --root "$CACHE/tools" ||
		die "bindgen $BINDGEN_VERSION could not be built." \
		    "By hand: cargo install bindgen-cli --version $BINDGEN_VERSION --locked"
}

mkdir -p "$CACHE"
missing=() mirror_known=
want_packages
if [ ${#missing[@]} != 0 ]; then
	[ -n "$release" ] ||
		die "this is no Debian, and these of its packages are missing here: ${missing[*]}" \
		    "Install what they contain and try again."
	install_packages
	hash -r
fi
find_llvm >/dev/null ||
	die "no clang with lld and llvm of version $LLVM_MIN or later was found." \
	    "Debian 12: apt-get install clang-19 lld-19 llvm-19 libclang-19-dev; Debian 13: apt-get install clang lld llvm"
check_rust

# The kernel is unpacked while bindgen is built.
lock
fetch=
if [ -z "${KDIR:-}" ] && ! "$TOP/scripts/fetch-kernel.sh" -q; then
	[ -n "$mirror_known" ] || apt-get indextargets 'Created-By: Packages' | grep -q . ||
		step "list of packages brought up to date" as_root apt-get update -q || exit
	"$TOP/scripts/fetch-kernel.sh" &
	fetch=$!
fi
find_rust_src >/dev/null || "$TOP/scripts/fetch-rust-src.sh" || failed=1
[ -n "${failed:-}" ] || install_bindgen || failed=1
if [ -n "$fetch" ]; then wait "$fetch" || failed=1; fi
[ -z "${failed:-}" ] || exit 1
