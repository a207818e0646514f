#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# test-long.sh: the tests with more than one round, in all of them. `make test` goes through the first.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

# In each guest, something happens between any two calls; in all rounds together, everything.
exec "$TOP/scripts/test.sh" vfio_agent_dies:{0..9} vfio_device_pulled:{0..7}
