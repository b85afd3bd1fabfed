"""Another version of Kubernetes on hosts that run: node by node, by the playbook `upgrade`."""

from ci.pipeline import engine, hosts, lock, playbook, supplies
from ci.pipeline.steps import Steps
from infra.environment import Environment


def run(env: Environment, steps: Steps, *, preview: bool) -> list[str]:
    """Bring the cluster to the version that the environment names; what changed.

    A preview brings tools and images to this machine and says what would be done. PlaybookError
    where a node does not come back; Refusal for what cannot be done.
    """
    _require(env)
    with lock.hold(env.name), engine.kept(), supplies.needed(env):
        changed = _run(env, steps, preview=preview)
    steps.remember()
    return changed


def _require(env: Environment) -> None:
    remedy = "An account's version stands in aws; a team's own cluster is the team's."
    hosts.require(env, "only hosts are upgraded node by node", remedy)
    hosts.require_up(env, "there is no cluster to upgrade")


def _run(env: Environment, steps: Steps, *, preview: bool) -> list[str]:
    archives = hosts.prepare(env, steps)
    with steps.step("preview" if preview else "upgrade") as report:
        hosts.tell(env, archives, report)
        told = playbook.run(env, "upgrade", report, *(["--check"] if preview else []))
    if preview:
        return []
    with steps.step("hosts") as report:
        if not hosts.agrees(env):
            hosts.up(env, archives, report)
    return sorted({change.split(":")[0] for change in told.changes})
