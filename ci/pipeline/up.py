"""Bring an environment up: each step does only what content keys and live probes say is missing.

An interrupted run leaves nothing that the next one trusts, so running again completes it.
"""

from dataclasses import dataclass, field

from ci.pipeline import (
    account_images,
    accounts,
    bento,
    credentials,
    engine,
    existing,
    hosts,
    lock,
    models,
    platform,
    prediction,
    preview,
    rollouts,
    ship,
    stacks,
    supplies,
)
from ci.pipeline.steps import Steps
from ci.report import Report
from ci.toolchain import doctor, provide
from infra import contract
from infra.environment import Environment
from infra.foundation.settings import Aws
from infra.models import release


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What changed, in words, and the answers of the models that prove the rest."""

    changed: list[str]
    answers: dict[str, prediction.Answer]
    unknown: list[str] = field(default_factory=list)
    """What this machine could not see, and what a person does about it."""


def run(env: Environment, steps: Steps) -> Outcome:
    """Bring the environment to what its files say, under its lock."""
    with lock.hold(env.name), engine.kept(), supplies.needed(env):
        outcome = _run(env, steps)
    steps.remember()
    return outcome


def _run(env: Environment, steps: Steps) -> Outcome:
    changed: list[str] = []
    if env.aws:
        with steps.step("account"):
            accounts.require(env, env.aws)
    if env.cluster.contract:
        contract.described(env)  # refused before anything is made
    with steps.step("machine") as report:
        doctor.require(env, report)
    with steps.step("tools") as report:
        provide.ensure(env, report)
    if env.aws:
        changed += _account(env, env.aws, steps)
    elif env.cluster.substrate == "existing":
        changed += _existing(env, steps)
    else:
        changed += _hosts(env, steps)
    with steps.step("platform") as report:
        stacks.prepare(env)
        changed += _words("platform", platform.up(env, report))
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
        unseen = prediction.unseen(contract.load(env))
        answers = {} if unseen else _answers(env, report)
    return Outcome(changed=changed, answers=answers, unknown=[unseen] if unseen else [])


def _hosts(env: Environment, steps: Steps) -> list[str]:
    """Make or repair the hosts unless they agree with what the repository says of them."""
    with steps.step("engine") as report:
        engine.ensure(report)
    with steps.step("credentials"):
        credentials.ensure(env)
    with steps.step("images") as report:
        archives = hosts.archives(env, report)
    with steps.step("hosts") as report:
        if hosts.agrees(env):
            return []
        hosts.up(env, archives, report)
        return ["hosts"]


def _account(env: Environment, aws: Aws, steps: Steps) -> list[str]:
    """Make the account what the repository says, and write down what it tells of its cluster."""
    with steps.step("foundation") as report:
        stacks.prepare(env, report)
        changed = _words("foundation", stacks.Stack(env, "foundation").up(report))
    with steps.step("credentials"):
        given = accounts.share_credentials(env, aws)
    with steps.step("images") as report:
        published = account_images.publish(env, aws, report)
    with steps.step("cluster") as report:
        written = accounts.hand_over(env, accounts.told(env), published)
        accounts.await_answer(contract.load(env), report)
    return [*changed, *(["credentials"] if given else []), *(["contract"] if written else [])]


def _existing(env: Environment, steps: Steps) -> list[str]:
    """Ask the cluster for what its contract promises, and give its registry our images."""
    with steps.step("credentials"):
        credentials.ensure(env)
    with steps.step("cluster") as report:
        existing.ask(env, report)
    with steps.step("images") as report:
        published = existing.publish(env, report)
    return ["contract"] if existing.hand_over(env, published) else []


def _first_models(env: Environment) -> list[str]:
    """Models that the first `up` ships: those marked as default, while nothing is released.

    None where releases stand in git: what runs there, somebody has committed.
    """
    if env.releases == "git" or release.releases(env):
        return []
    return [name for name in bento.names() if bento.load(name).default]


def _words(project: str, changes: stacks.Changes) -> list[str]:
    counts = {kind: getattr(changes, kind) for kind in preview.KINDS if kind != "same"}
    return [f"{project}: {number} {kind}" for kind, number in counts.items() if number]


def _answers(env: Environment, report: Report) -> dict[str, prediction.Answer]:
    names = [one.name for one in release.releases(env)]
    return prediction.all_proven(contract.load(env), names, report) if names else {}
