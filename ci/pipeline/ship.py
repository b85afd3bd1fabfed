"""Ship a model: build, push, write the release, roll out, ask for a prediction."""

from dataclasses import dataclass

from ci.pipeline import bento, build, lock, models, prediction, push, rollouts, stacks, supplies
from ci.pipeline.steps import Steps
from ci.report import Report
from infra import contract
from infra.environment import Environment
from infra.models import release
from infra.models.release import Release


class ShipError(Exception):
    """A roll-out failed, and so did putting back what ran before; the text says both."""


@dataclass(frozen=True, kw_only=True)
class Shipped:
    """What was released, and the answer that proves it."""

    release: Release
    answer: prediction.Answer


def run(
    env: Environment, name: str, *, version: str | None, canary: int | None, steps: Steps
) -> Shipped:
    """Ship one model under the environment's lock."""
    with lock.hold(env.name), supplies.needed(env):
        shipped = deliver(env, name, version=version, canary=canary, steps=steps)
    steps.remember()
    return shipped


def deliver(
    env: Environment, name: str, *, version: str | None, canary: int | None, steps: Steps
) -> Shipped:
    """Ship one model; the caller holds the lock.

    The release file is written only when the image is in the registry. When the roll-out fails,
    what ran before is put back, and the failure goes on to the caller.
    """
    facts = contract.load(env)
    bento.load(name)
    with steps.step(f"build {name}") as report:
        built = build.build(name, version=version, report=report)
    with steps.step(f"push {name}") as report, push.access(env, facts) as options:
        digest = build.push(built, facts, options, report)
    after = release.following(release.read(env, name), build.release(built, digest), canary)
    with steps.step(f"release {name}") as report:
        roll_out(env, after, report)
    with steps.step(f"ask {name}") as report:
        answer = prediction.proven(facts, name, report)
    return Shipped(release=after, answer=answer)


def roll_out(env: Environment, after: Release, report: Report) -> None:
    """Write a release and wait until it runs; the caller holds the lock.

    When it does not come to run, what ran before is put back, and the failure goes on.
    """
    before = release.read(env, after.name)
    try:
        release.write(env, after)
        stacks.prepare(env)
        models.up(env, report, only=[after.name])
        rollouts.wait(env, after.name, report, after.digest)
    except Exception as failure:
        try:
            _put_back(env, after.name, before, report)
        except Exception as again:
            raise ShipError(
                f"{failure}\nPutting back what ran before failed, too: {again}\n"
                f"The release file is as before. Run `yard up {env.name}`."
            ) from failure
        raise


def promote(env: Environment, name: str, report: Report) -> Release:
    """Give the canary all requests, and write down that it has them."""
    with lock.hold(env.name):
        rollouts.promote(env, name)
        rollouts.wait(env, name, report)
        settled = release.settle(env, name)
        stacks.prepare(env)
        models.up(env, report, only=[name])
        return settled


def abort(env: Environment, name: str, report: Report) -> Release:
    """Give the version before the canary all requests again, and write that down."""
    with lock.hold(env.name):
        rollouts.abort(env, name)
        rollouts.wait_aborted(env, name, report)
        back = release.abandon(env, name)
        stacks.prepare(env)
        models.up(env, report, only=[name])
        rollouts.wait(env, name, report)
        return back


def _put_back(env: Environment, name: str, before: Release | None, report: Report) -> None:
    report(f"the roll-out of {name} failed: putting back what ran before", 0, 0)
    if before is None:
        release.remove(env, name)
    else:
        release.write(env, before)
    models.up(env, report, only=[name])
