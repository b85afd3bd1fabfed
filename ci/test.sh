#!/usr/bin/env bash
# `make test`: all of CI on one machine. Brings environment `test` up, drives it, takes it away,
# also when something failed or was interrupted; then keeps the logs and shows their tails.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"

kept="${XDG_CACHE_HOME:-$HOME/.cache}/modelyard/logs/test"
said="$(mktemp -d)"
started=$SECONDS

finish() {
  local code=$?
  trap - EXIT
  kill "${beside:-}" 2>/dev/null && wait "$beside" 2>/dev/null
  if [ "$code" -ne 0 ] && [ -d "$state/logs" ]; then
    rm -rf "$kept" && mkdir -p "$kept" && cp -r "$state/logs/." "$kept/"
    tail -n 40 "$kept"/*
    echo "test: the logs are kept in $kept"
  fi
  yard down test || code=1
  # The closing lines of pytest once more, after everything that was cleaned up.
  tail -qn 1 "$said"/* 2>/dev/null || true
  rm -rf "$said"
  echo "test: $([ "$code" -eq 0 ] && echo passed || echo FAILED) after $(((SECONDS - started) / 60)) min"
  exit "$code"
}

ci/check.sh | tee "$said/1-check"
. ci/alone.sh
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
# What brings its own API server, and what trains, runs beside the environment: each alone leaves
# cores idle. It is shown when it is over.
pytest -v --durations=15 -m "apiserver or training" >"$said/2-beside" 2>&1 &
beside=$!
# What an earlier run left that was killed, or whose machine went down.
yard down test --take
yard up test --timings
failed=0
pytest -v --durations=15 -m "hosts or system" | tee "$said/3-environment" || failed=1
wait "$beside" || failed=1
cat "$said/2-beside"
exit "$failed"
