"""Runs of the models project: they look only at the services that may differ from what is wanted.

Pulumi registers and compares every resource that it runs for, some ten of each service. Which
services a run is for is decided before, by the key that a service's objects were made from, and by
a few lists of what the cluster has. Plain `pulumi` always looks at all of them.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ci.pipeline import plugins, stacks, workplace
from ci.report import Report
from infra import contract
from infra.environment import Environment
from infra.models import release, wanted

SERVICE = "modelyard:models:ModelService"


def preview(env: Environment, report: Report) -> stacks.Changes:
    """What :func:`up` would change; works before a cluster exists."""
    return _run(env, "preview", report, None)


def up(env: Environment, report: Report, only: Collection[str] | None = None) -> stacks.Changes:
    """Make the services what their releases say: all that differ, or ``only`` those named."""
    return _run(env, "up", report, only)


@dataclass(frozen=True)
class Service:
    """A service of the state: the key that it was made with, and its objects."""

    key: str | None
    """None when its last run did not end well."""
    objects: list[dict[str, Any]]


def _run(
    env: Environment,
    verb: Literal["preview", "up"],
    report: Report,
    only: Collection[str] | None,
) -> stacks.Changes:
    stack = stacks.Stack(env, "models")
    run = {"preview": stack.preview, "up": stack.up}[verb]
    resources, unfinished = stack.resources(), stack.unfinished()
    # What runs need not look at is known from the stand-in's own bookkeeping.
    ours = plugins.kind(env) == "stand-in"
    if unfinished or not ours or not contract.path(env.name).is_file():
        return run(report)
    there = services(resources)
    known = there.keys() | {one.name for one in release.releases(env)}
    chosen = differing(env, there) if only is None else known.intersection(only)
    if not chosen:
        return stacks.Changes.untouched(resources)
    if chosen == known:
        return run(report)
    return run(report, focus(env, chosen))


def services(resources: Iterable[dict[str, Any]]) -> dict[str, Service]:
    """The services that a state has, by name."""
    found: dict[str, Service] = {}
    for resource in resources:  # a parent stands before its children
        if resource["type"] == SERVICE:
            found[resource["urn"]] = Service((resource.get("outputs") or {}).get("key"), [])
        elif resource.get("parent") in found:
            found[resource["parent"]].objects.append(resource)
    return {urn.rpartition("::")[2]: service for urn, service in found.items()}


def differing(env: Environment, there: Mapping[str, Service]) -> set[str]:
    """Names of the services that are new, changed, gone, drifted, or were not finished."""
    facts = contract.load(env)
    keys = {one.release.name: one.key for one in wanted.wanted(env, facts)}
    same = {
        name for name, one in there.items() if one.key is not None and one.key == keys.get(name)
    }
    owners = {each["urn"]: name for name in same for each in there[name].objects}
    drifted = stacks.drifted(facts, [each for name in same for each in there[name].objects])
    return (there.keys() | keys.keys()) - same | {owners[urn] for urn in drifted}


def focus(env: Environment, names: Collection[str]) -> stacks.Focus:
    """A run that registers these services and no others, which stay as they are in the state."""
    prefix = f"urn:pulumi:{env.name}::{workplace.NAMES['models']}::{SERVICE}"
    return stacks.Focus(
        targets=[f"{prefix}::{name}" for name in sorted(names)],
        variables={wanted.ONLY: ",".join(sorted(names))},
    )
