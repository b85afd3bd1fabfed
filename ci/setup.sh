#!/usr/bin/env bash
# `make setup PYTHON`: .venv out of the locks. All but the project itself is made once for each content of
# the locks, in the cache, and linked from there: to install and compile it takes most of a minute.
set -euo pipefail
cd "$(dirname "$0")/.."
python="$1"

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "python is $("$python" --version 2>&1): modelyard needs Python 3.11 or newer." >&2
  echo "Install it, or name one: make setup PYTHON=/path/to/python3.11" >&2
  exit 2
}

make_base() {
  echo "setup: making an environment from requirements.lock (about a minute, once)"
  "$python" -m venv "$1/first"
  "$1/first/bin/python" -m pip install --quiet --require-hashes -r requirements-setup.lock
  # Relocatable: its programs look for their Python beside themselves, wherever that is.
  "$1/first/bin/uv" venv --quiet --relocatable --python "$python" "$1/base"
  "$1/first/bin/uv" pip sync --quiet --python "$1/base" --require-hashes requirements-setup.lock requirements.lock
  rm -rf "$1/first"
  # Else a machine with PYTHONDONTWRITEBYTECODE compiles all that a command imports every time.
  "$1/base/bin/python" -m compileall -q -j 0 -x '/(ansible_collections|pulumi_aws|openai|moto|scipy|pip|mypy)/' "$1/base/lib"
}

cache="${XDG_CACHE_HOME:-$HOME/.cache}/modelyard/setup"
key="$({ "$python" -c 'import sys; print(sys.version, sys.base_prefix)'; cat ci/setup.sh requirements-setup.lock requirements.lock; } | sha256sum | cut -c1-16)"
mkdir -p "$cache"
exec 8>"$cache/lock"
flock 8
rm -rf "$cache"/partial-* # of a run that was killed: nobody else is here
if [ ! -d "$cache/$key" ]; then
  partial="$(mktemp -d "$cache/partial-XXXXXX")"
  make_base "$partial"
  mv "$partial/base" "$cache/$key"
  rmdir "$partial"
fi
touch "$cache/$key"
# Checkouts of two branches side by side keep theirs.
ls -dt "$cache"/*/ | tail -n +4 | xargs -r rm -rf

rm -rf .venv
cp -a --link "$cache/$key" .venv 2>/dev/null || { rm -rf .venv && cp -a "$cache/$key" .venv; }
.venv/bin/uv pip install --quiet --python .venv --no-deps --no-build-isolation --editable .
.venv/bin/python -m compileall -q -j 0 ci infra services
