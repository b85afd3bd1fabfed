"""Bring an environment up: each step does only what content keys and live probes say is missing.

An interrupted run leaves nothing that the next one trusts, so running again completes it.
"""

from dataclasses import dataclass

from ci.pipeline import (
    bento,
    credentials,
    engine,
    hosts,
    lock,
    models,
    prediction,
    preview,
    rollouts,
    ship,
    stacks,
    supplies,
)
from ci.pipeline.steps import Steps
from ci.report import Report
from ci.toolchain import doctor, images, provide, supply
from infra import contract
from infra.environment import Environment
from infra.models import release
from infra.refusal import Refusal


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What changed, in words, and the answers of the models that prove the rest."""

    changed: list[str]
    answers: dict[str, prediction.Answer]


def run(env: Environment, steps: Steps) -> Outcome:
    """Bring the environment to what its files say, under its lock.

    Raises Refusal for an environment of an account, which plain `pulumi` makes.
    """
    if env.cluster.substrate == "aws":
        raise Refusal(
            f"Pulumi.{env.name}.yaml: cluster.substrate",
            env.cluster.substrate,
            "`yard up` makes clusters of hosts; for accounts it is not built yet",
            f"Run `yard bootstrap {env.name}`, then what docs/aws.md says.",
        )
    with lock.hold(env.name), supplies.needed(env):
        outcome = _run(env, steps)
    steps.remember()
    return outcome


def _run(env: Environment, steps: Steps) -> Outcome:
    changed: list[str] = []
    with steps.step("machine") as report:
        doctor.require(env, report)
    with steps.step("tools") as report:
        provide.ensure(env, report)
    with steps.step("engine") as report:
        engine.ensure(report)
    with steps.step("credentials"):
        credentials.ensure(env)
    if _cluster(env, steps):
        changed.append("hosts")
    with steps.step("platform") as report:
        stacks.prepare(env)
        changed += _words("platform", stacks.Stack(env, "platform").up(report))
    first = _first_models(env)
    if first:
        for name in first:
            ship.deliver(env, name, version=None, canary=None, steps=steps)
            changed.append(name)
    else:
        with steps.step("models") as report:
            changed += _words("models", models.up(env, report))
            names = [one.name for one in release.releases(env)]
            rollouts.wait_for_all(env, dict.fromkeys(names), report)
    with steps.step("prediction") as report:
        answers = _answers(env, report)
    return Outcome(changed=changed, answers=answers)


def _cluster(env: Environment, steps: Steps) -> bool:
    """Make or repair the hosts unless they agree with what the repository says of them."""
    with steps.step("images") as report:
        source = supply.resolve(env)
        archives = {name: images.ensure(name, report, source) for name in images.names()}
    with steps.step("hosts") as report:
        if hosts.agrees(env):
            return False
        hosts.up(env, archives, report)
        return True


def _first_models(env: Environment) -> list[str]:
    """Models that the first `up` ships: those marked as default, while nothing is released."""
    if release.releases(env):
        return []
    return [name for name in bento.names() if bento.load(name).default]


def _words(project: str, changes: stacks.Changes) -> list[str]:
    counts = {kind: getattr(changes, kind) for kind in preview.KINDS if kind != "same"}
    return [f"{project}: {number} {kind}" for kind, number in counts.items() if number]


def _answers(env: Environment, report: Report) -> dict[str, prediction.Answer]:
    names = [one.name for one in release.releases(env)]
    return prediction.all_proven(contract.load(env), names, report) if names else {}
