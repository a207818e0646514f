#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# list-tests.sh: the names of all tests, one a line. Needs no kernel tree: the selftests' Makefile is asked, with empty
# files in place of those of kselftest that it includes.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/overlay.sh"

mkdir -p "$SCRATCH"/{pci_liveupdate,vfio_liveupdate,liveupdate/lib,vfio/lib}
touch "$SCRATCH/lib.mk" "$SCRATCH/liveupdate/lib/libliveupdate.mk" "$SCRATCH/vfio/lib/libvfio.mk"

echo kunit
for dir in pci_liveupdate vfio_liveupdate; do
	cp "$TOP/tools/testing/selftests/$dir/Makefile" "$SCRATCH/$dir/"
	env -u MAKEFLAGS make -s -C "$SCRATCH/$dir" list-tests 2>/dev/null
done
# The kernel tree's own, which have to pass here too
printf '%s\n' luo_kexec_simple luo_multi_session luo_stress_files luo_stress_sessions
