# Sourced by what drives environment `test`: one of them at a time on a machine, of whatever checkout.
# The lock goes with the shell and all that it started, however they end.
state="${XDG_STATE_HOME:-$HOME/.local/state}/modelyard/test"
mkdir -p "${state%/*}"
exec 9>"${state%/*}/test-run.lock"
flock -n 9 || {
  echo "test: another run drives environment test on this machine; waiting up to an hour for it"
  flock -w 3600 9 || { echo "test: it still runs; stop it, or run this again later" >&2; exit 2; }
}
