#!/usr/bin/env bash
# `make test-faults`: all kinds of bad luck, on environment `test`, which the first of them brings up
# from nothing and in pieces. Takes it away again, also when something failed or was interrupted.
# Arguments go to pytest: ci/test-faults.sh -k "registry or gateway" (on an environment that is up).
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"
. ci/alone.sh
started=$SECONDS

finish() {
  local code=$?
  trap - EXIT
  yard down test || code=1
  echo "test-faults: $([ "$code" -eq 0 ] && echo passed || echo FAILED) after $(((SECONDS - started) / 60)) min"
  exit "$code"
}

trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
if [ $# -gt 0 ]; then
  yard up test
fi
# -rP: what each death cost stands in the output of the tests that passed.
pytest -v -rP --durations=20 -m faults tests/faults "$@"
