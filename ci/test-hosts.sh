#!/usr/bin/env bash
# `make test-hosts`: all tests of hosts on environment `test`, also the scenarios that take minutes.
# Arguments go to pytest.
set -euo pipefail
. "$(dirname "$0")/alone.sh"

yard down test --take
yard up test --timings
pytest -v --durations=20 -m "hosts or scenarios" tests/hosts "$@"
