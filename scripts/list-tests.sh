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
# Once more with a QEMU that has more of an IOMMU, where the machine's has less
have=$(qemu-system-x86_64 --version 2>/dev/null | sed -n 's/.*version \([0-9.]*\).*/\1/p')
if [ -n "$have" ] && ! version_at_least "$have" 10; then
	printf '%s:qemu10\n' translated translated_interrupts translated_many translated_others translated_scalable
fi
# The kernel tree's own, which have to pass here too
printf '%s\n' luo_kexec_simple luo_multi_session luo_stress_files luo_stress_sessions
