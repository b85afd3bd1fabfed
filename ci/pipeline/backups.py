"""Make a backup of an environment, and bring the environment back from one.

A backup does not take the environment's lock: a long `yard up` would keep all backups waiting. What
it reads is replaced whole, each file by itself.
"""

import json
from pathlib import Path

from ci.pipeline import engine, hosts, lock, playbook, supplies
from ci.pipeline.steps import Steps
from ci.report import Report
from infra.backup import manifest
from infra.backup.manifest import Manifest
from infra.environment import Environment


def make(env: Environment, report: Report) -> tuple[Path, Manifest]:
    """Make a backup; returns its folder and what it is."""
    require_hosts(env)
    hosts.require_up(env, "only what was brought up from this machine can be backed up from it")
    told = playbook.run(env, "backup", report).document
    if told is None:
        raise playbook.PlaybookError(f"no backup: see {playbook.log_path(env, 'backup')}")
    folder = Path(told["folder"])
    return folder, manifest.read(folder)


def restore(
    env: Environment, source: Path, steps: Steps, *, opened_by: Path | None, confirmed: bool
) -> Manifest:
    """Begin the environment's cluster anew with a backup, on a machine that may be new itself.

    ``confirmed``: also where it is protected. Raises Refusal before anything is touched.
    """
    require_hosts(env)
    found = manifest.read(source)
    given = {"restore_from": str(source.resolve())}
    if opened_by:
        given["restore_key"] = str(opened_by.resolve())
    if confirmed:
        given["restore_environment"] = env.name
    with lock.hold(env.name), engine.kept(), supplies.needed(env):
        archives = hosts.prepare(env, steps)
        with steps.step("restore") as report:
            hosts.up(env, archives, report, "restore", "--extra-vars", json.dumps(given))
    steps.remember()
    return found


def require_hosts(env: Environment) -> None:
    """Refuse what is no cluster of hosts: its control plane is another's to back up."""
    rule = "only a cluster of hosts has an etcd that can be asked"
    hosts.require(env, rule, "Use what the cluster's owner offers for it.")
