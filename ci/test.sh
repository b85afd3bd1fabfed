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
  [ -z "${running:-}" ] || kill -- "-$running" 2>/dev/null || true
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

# Whatever needs no environment runs beside it: each alone leaves cores idle. It is shown when it is
# over, and leads a process group, so that all of it can be ended.
beside() {
  setsid "${@:2}" >"$said/$1" 2>&1 &
  running=$!
}

finished() {
  local code=0
  wait "$running" || code=$?
  running=
  cat "$said/$1"
  return "$code"
}

. ci/alone.sh
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
beside 1-check ci/check.sh
# What an earlier run left that was killed, or whose machine went down.
yard down test --take
yard up test --timings
finished 1-check
beside 2-beside pytest -v --durations=15 -m "apiserver or training"
failed=0
pytest -v --durations=15 -m "hosts or system" | tee "$said/3-environment" || failed=1
finished 2-beside || failed=1
exit "$failed"
