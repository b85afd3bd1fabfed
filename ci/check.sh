#!/usr/bin/env bash
# `make check`: format, lint, types, Ansible, fast tests. Needs no engine, cluster or network.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"

step() {
  echo "check: $*"
  "$@"
}

step ruff format --check --quiet .
step ruff check --quiet .
# A cache of the machine, which goes by content: a new checkout does not begin from nothing.
step mypy --no-error-summary --cache-dir "${XDG_CACHE_HOME:-$HOME/.cache}/modelyard/mypy" ci infra services tests
step env -C ansible ansible-lint --offline -q
# A file's tests stay together: they share what is dear to make.
step pytest --numprocesses auto --dist loadfile "$@"
