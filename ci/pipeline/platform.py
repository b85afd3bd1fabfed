"""Runs of the platform project: none while nothing that they read has changed since the last one.

Pulumi registers and compares some 150 resources whenever it runs. What an environment's state came
from is written down beside it; while program, environment, contract, credentials and state are
those, and a few lists show the cluster as the state says, a run would find nothing to do. Plain
`pulumi` always looks at everything.
"""

import datetime
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import orjson

from ci.pipeline import files, plugins, stacks, workplace
from ci.report import Report
from infra import contract, digests
from infra.environment import Environment
from infra.policy import exemptions

VOLATILE = ("created", "modified", "sourcePosition", "stackTrace")
"""What the engine notes of a resource besides what it is."""


def preview(env: Environment, report: Report) -> stacks.Changes:
    """What :func:`up` would change; works before a cluster exists."""
    return _run(env, "preview", report)


def up(env: Environment, report: Report) -> stacks.Changes:
    """Make the platform what the program says."""
    return _run(env, "up", report)


def _run(env: Environment, verb: Literal["preview", "up"], report: Report) -> stacks.Changes:
    stack = stacks.Stack(env, "platform")
    run = {"preview": stack.preview, "up": stack.up}[verb]
    # What the vendor's plugins would see is only known to them.
    if plugins.kind(env) != "stand-in" or not contract.path(env.name).is_file():
        return run(report)
    resources, program = stack.resources(), _program(env)
    settled = _read(env) == [program, _state(resources)] and not stack.unfinished()
    if settled and not _drifted(env, resources):
        return stacks.Changes.untouched(resources)
    changes = run(report)
    if changes.violations or changes.warnings:
        return changes  # they are to be shown each time
    if verb == "up":
        resources = stack.resources()
    if verb == "up" or changes.none:
        _write(env, [program, _state(resources)])
    return changes


def _program(env: Environment) -> str:
    """Digest of all that decides what the program registers, and whether a policy refuses it."""
    facts = contract.load(env)
    today = datetime.datetime.now(tz=datetime.UTC).date()
    over = [one.over(today) for one in exemptions.load()]
    parts = (
        digests.program(),
        env.model_dump_json(),
        facts.model_dump_json(),
        digests.files([facts.credentials]),
        digests.files(facts.crds.values()),
        str(over),
    )
    return digests.of(part.encode() for part in parts)


def _state(resources: Iterable[dict[str, Any]]) -> str:
    return digests.of(
        orjson.dumps({key: value for key, value in one.items() if key not in VOLATILE})
        for one in resources
    )


def _drifted(env: Environment, resources: Iterable[dict[str, Any]]) -> bool:
    objects = [one for one in resources if str(one["type"]).startswith("kubernetes:")]
    # A refresh since then would have changed the state's digest.
    return bool(stacks.drifted(contract.load(env), objects, applied=True))


def _path(env: Environment) -> Path:
    return workplace.state(env) / "platform.json"


def _read(env: Environment) -> list[str] | None:
    try:
        found: list[str] = orjson.loads(_path(env).read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return None
    return found


def _write(env: Environment, settled: list[str]) -> None:
    files.write(_path(env), orjson.dumps(settled).decode() + "\n", 0o600)
