#!/usr/bin/env bash
# `make test`: all of CI on one machine. Brings environment `test` up, drives it, takes it away; where
# something failed, keeps the logs and shows their tails.
set -euo pipefail
. "$(dirname "$0")/alone.sh"

kept="${XDG_CACHE_HOME:-$HOME/.cache}/modelyard/logs/test"
said="$(mktemp -d)"

before_down() {
  [ -z "${running:-}" ] || kill -- "-$running" 2>/dev/null || true
  if [ "$1" -ne 0 ] && [ -d "$state/logs" ]; then
    rm -rf "$kept" && mkdir -p "$kept" && cp -r "$state/logs/." "$kept/"
    tail -n 40 "$kept"/*
    echo "test: the logs are kept in $kept"
  fi
}

after_down() {
  # The closing lines of pytest once more, after everything that was cleaned up.
  tail -qn 1 "$said"/* 2>/dev/null || true
  rm -rf "$said"
}

# Whatever needs no environment runs beside it: each alone leaves cores idle. It is shown when it is
# over, and is a process group, so that all of it can be ended.
beside() {
  set -m
  { ci/check.sh >"$said/1-check" 2>&1 && pytest -v --numprocesses 2 --dist loadfile --durations=15 -m "apiserver or training" >"$said/2-beside" 2>&1; } &
  running=$!
  set +m
}

finished() {
  local code=0
  wait "$running" || code=$?
  running=
  cat "$said/1-check"
  [ ! -e "$said/2-beside" ] || cat "$said/2-beside"
  return "$code"
}

beside
# What an earlier run left that was killed, or whose machine went down.
yard down test --take
yard up test --timings
kill -0 "$running" 2>/dev/null || finished # a check that failed ends it here
failed=0
pytest -v --durations=15 -m "hosts or system" | tee "$said/3-environment" || failed=1
finished || failed=1
exit "$failed"
