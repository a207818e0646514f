# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Sourced: which compilers a kernel is built with, as scripts/setup.sh left them, and how make is called with them.

# What Linux 7.3 asks for, and what is taken where there is nothing
export RUSTC_MIN=1.85.0
export BINDGEN_MIN=0.71.1 BINDGEN_VERSION=0.72.1
export LLVM_MIN=17 LLVM_DEBIAN12=19

PATH=$CACHE/tools/bin:$PATH
[ ! -d "$HOME/.cargo/bin" ] || PATH=$PATH:$HOME/.cargo/bin
export PATH

# tool_version COMMAND: the first version number that it prints, or nothing.
tool_version() { { "$1" --version 2>/dev/null || true; } | grep -oEm1 '[0-9]+\.[0-9]+(\.[0-9]+)?' | head -n 1 || true; }

# llvm_complete SUFFIX: are the parts of LLVM that the kernel needs there, and new enough?
llvm_complete() {
	local tool
	for tool in clang ld.lld llvm-ar llvm-nm llvm-objcopy llvm-readelf llvm-strip; do
		command -v "$tool$1" >/dev/null || return 1
	done
	version_at_least "$(tool_version "clang$1")" "$LLVM_MIN"
}

# find_llvm: prints what to give make as LLVM=, fails when there is none.
find_llvm() {
	local suffix
	if [ -n "${LLVM:-}" ]; then echo "$LLVM"; return; fi
	if llvm_complete ''; then echo 1; return; fi
	for suffix in -22 -21 -20 -19 -18 -17; do
		if llvm_complete "$suffix"; then echo "$suffix"; return; fi
	done
	return 1
}

# find_rust_src: prints the folder with Rust's standard library, fails when there is none.
find_rust_src() {
	local dir version
	version=$(tool_version rustc)
	for dir in "${RUST_LIB_SRC:-}" "$(rustc --print sysroot)/lib/rustlib/src/rust/library" \
		   "$CACHE/rust-src/$version/library"; do
		if [ -f "$dir/core/src/lib.rs" ]; then echo "$dir"; return; fi
	done
	return 1
}

# use_toolchain: sets LLVM and RUST_LIB_SRC and the array KMAKE, the command for every build in a kernel tree.
use_toolchain() {
	LLVM=$(find_llvm)
	RUST_LIB_SRC=$(find_rust_src)
	export LLVM RUST_LIB_SRC
	# What our own make was given on its command line is not meant for kbuild.
	KMAKE=(env -u MAKEFLAGS -u MFLAGS -u MAKEOVERRIDES -u MAKELEVEL -u KDIR -u V
		make "LLVM=$LLVM" ARCH=x86_64 "-j$(( $(nproc) + 1 ))" --no-print-directory)
	[ "${V:-0}" != 1 ] || KMAKE+=(V=1)
	# The examples in doc comments are tests, which rustdoc extracts. It comes with rustc, but need not be in PATH.
	command -v rustdoc >/dev/null || KMAKE+=("RUSTDOC=$(rustc --print sysroot)/bin/rustdoc")
}

# toolchain_id: changes when anything does that compiles the kernel, and kbuild would not notice.
toolchain_id() {
	local clang=clang
	[ "$LLVM" = 1 ] || clang=clang$LLVM
	"$clang" --version | head -n 1
	rustc --version --verbose
	bindgen --version
	echo "$RUST_LIB_SRC"
}
