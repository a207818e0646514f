#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# apply.sh [-R] TREE: lays overlay and patches into a user's own kernel tree; -R takes them out again.
# Doing either a second time is harmless. When something does not fit, nothing at all is changed.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/overlay.sh"

usage='Say which kernel tree: make apply KDIR=DIRECTORY, make unapply KDIR=DIRECTORY'
reverse=
[ "${1:-}" != -R ] || { reverse=1; shift; }
[ -n "${1:-}" ] || die "$usage"
check_kernel_tree "$1"
tree=$(cd "$1" && pwd)

changed=$(changed_since "$tree")
if [ -n "$changed" ] && [ "${FORCE:-0}" != 1 ]; then
	die "these files were changed in $tree since they were laid there:" "$changed" \
	    "Take the changes to this checkout first, or give FORCE=1 to lose them."
fi

if [ -n "$reverse" ]; then
	unlay "$tree"
	if [ "$LAID_CHANGES" = 0 ]; then
		say "$tree: nothing of this project is applied there"
	else
		say "$tree: $LAID_CHANGES files restored or removed"
	fi
else
	lay "$tree" "$tree"
	if [ "$LAID_CHANGES" = 0 ]; then
		say "$tree: already applied, nothing to do"
	else
		say "$tree: $LAID_CHANGES files written (Linux $(kernel_version "$tree")); now set CONFIG_PCI_LIVEUPDATE=y there"
	fi
fi
