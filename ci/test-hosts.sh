#!/usr/bin/env bash
# `make test-hosts`: all tests of hosts, also the scenarios that take minutes: first those that bring up an environment of their
# own, which is gone again before `test` comes up. Arguments go to pytest.
set -euo pipefail
. "$(dirname "$0")/alone.sh"

failed=0
yard down test --take
# 5: the arguments chose none of them.
own=(tests/hosts/test_{quorum,control_plane_goes,upgrade,backup,rehearsal,policies,cilium_days}.py tests/existing)
pytest -v --durations=20 -m scenarios "${own[@]}" "$@" || [ $? -eq 5 ] || failed=1
yard up test --timings
pytest -v --durations=20 -m "hosts or scenarios" tests/hosts "${own[@]/#/--ignore=}" "$@" || failed=1
exit "$failed"
