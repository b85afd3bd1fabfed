#!/usr/bin/env bash
# `make test-faults`: all kinds of bad luck, on environment `test`, which the first of them brings up
# from nothing and in pieces.
# Arguments go to pytest: ci/test-faults.sh -k "registry or gateway" (on an environment that is up).
set -euo pipefail
. "$(dirname "$0")/alone.sh"

if [ $# -gt 0 ]; then
  yard up test
fi
# -rP: what each death cost stands in the output of the tests that passed.
pytest -v -rP --durations=20 -m faults tests/faults "$@"
