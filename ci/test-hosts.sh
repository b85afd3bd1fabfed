#!/usr/bin/env bash
# `make test-hosts`: all tests of hosts on environment `test`, also the scenarios that take minutes. Takes it
# away again, also when something failed or was interrupted. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"
. ci/alone.sh
started=$SECONDS

finish() {
  local code=$?
  trap - EXIT
  yard down test || code=1
  echo "test-hosts: $([ "$code" -eq 0 ] && echo passed || echo FAILED) after $(((SECONDS - started) / 60)) min"
  exit "$code"
}

trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
yard down test --take
yard up test --timings
pytest -v --durations=20 -m "hosts or scenarios" tests/hosts "$@"
