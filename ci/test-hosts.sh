#!/usr/bin/env bash
# `make test-hosts`: all tests of hosts, also the scenarios that take minutes: first those with environments of their own (`quorum`,
# `drill`, the cluster of a team), which are gone again before `test` comes up. Arguments go to pytest.
set -euo pipefail
. "$(dirname "$0")/alone.sh"

failed=0
yard down test --take
# 5: the arguments chose none of them.
own=(tests/hosts/test_quorum.py tests/hosts/test_backup.py tests/existing)
pytest -v --durations=20 -m scenarios "${own[@]}" "$@" || [ $? -eq 5 ] || failed=1
yard up test --timings
pytest -v --durations=20 -m "hosts or scenarios" tests/hosts "${own[@]/#/--ignore=}" "$@" || failed=1
exit "$failed"
