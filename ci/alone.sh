# Sourced by what drives environment `test`: one of them at a time on a machine, of whatever checkout, and the
# environment is taken away at the end, also when something failed or was interrupted.
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PWD/.venv/bin:$PATH"
state="${XDG_STATE_HOME:-$HOME/.local/state}/modelyard/test"

# The lock goes with the shell and all that it started, however they end.
mkdir -p "${state%/*}"
exec 9>"${state%/*}/test-run.lock"
flock -n 9 || {
  echo "test: another run drives environment test on this machine; waiting up to an hour for it"
  flock -w 3600 9 || { echo "test: it still runs; stop it, or run this again later" >&2; exit 2; }
}

# For the caller to define anew: what to do with the exit code before the environment goes, and after.
before_down() { :; }
after_down() { :; }

finish() {
  local code=$?
  trap - EXIT
  before_down "$code"
  yard down test || code=1
  after_down
  echo "$(basename "$0" .sh): $([ "$code" -eq 0 ] && echo passed || echo FAILED) after $((SECONDS / 60)) min"
  exit "$code"
}

trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
