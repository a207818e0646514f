#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# lint-readme.sh: is each piece of C and Rust in the README part of a file that the tests compile?
set -euo pipefail
. "$(dirname "$0")/lib.sh"

python3 - "$TOP" <<'PYTHON'
import pathlib, re, sys

top = pathlib.Path(sys.argv[1])
sources = {
    "c": (top / "tools/testing/selftests/pci_liveupdate/modules/pci_liveupdate_example.c").read_text(),
    # An example in a doc comment: a test of its own, once the marker is off.
    "rust": re.sub(r"^//! ?", "", (top / "rust/kernel/pci/liveupdate.rs").read_text(), flags=re.M),
}
readme = (top / "README.md").read_text()
pieces = re.findall(r"^```(c|rust)\n(.*?)^```$", readme, flags=re.M | re.S)
if not pieces:
    sys.exit("error: README.md has no piece of C or Rust any more: is this check of use?")
for language, text in pieces:
    if text not in sources[language]:
        sys.exit(f"error: this piece of README.md is in no file that is compiled:\n{text}")
PYTHON
