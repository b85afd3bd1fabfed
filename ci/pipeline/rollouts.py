"""What Argo Rollouts does with a model now, and the two decisions about a canary.

Promoting and aborting are the patches of the `kubectl argo rollouts` plugin (argo-rollouts v1.8.3,
pkg/kubectl-argo-rollouts/cmd): the controller does the rest.
"""

import time
from collections.abc import Mapping
from datetime import UTC, datetime

from kubernetes import client
from pydantic import BaseModel

from ci.pipeline import cluster, rollout_state, trouble
from ci.pipeline.cluster import PATIENCE_S
from ci.pipeline.rollout_state import (
    GROUP,
    ROLLOUTS,
    VERSION,
    Facts,
    Observed,
    VersionWeight,
    ask,
    custom,
    observed,
    versions,
)
from ci.report import Report
from infra import contract
from infra.environment import Environment
from infra.models import labels, release
from infra.refusal import Refusal

MERGE = "application/merge-patch+json"
LOOK_S = 1.0

# The gateway collects changes for two seconds, and changed endpoints reach it a moment later.
GATEWAY_S = 5.0


class RolloutFailed(Exception):  # noqa: N818 - it reads as what happened
    """A roll-out does not come to its end; the text names the pods, the reasons and the remedy."""


class Service(BaseModel, frozen=True):
    """A model as its callers see it."""

    name: str
    url: str
    token_file: str
    ca_file: str | None
    """None: this machine trusts who signed the gateway's certificate."""
    versions: list[VersionWeight]


def status(environment: Environment) -> list[Service]:
    """All models of an environment, with the versions that get requests."""
    facts = contract.load(environment)
    with cluster.connect(facts) as connection:
        return [
            Service(
                name=name,
                url=f"{facts.gateway.url}/{name}",
                token_file=str(facts.credentials / "token"),
                ca_file=str(facts.authority) if facts.authority else None,
                versions=versions(found),
            )
            for name, found in rollout_state.find_all(connection).items()
        ]


def observe(environment: Environment, name: str) -> Observed:
    """One roll-out now; raises Refusal when the environment has no such model."""
    facts = contract.load(environment)
    with cluster.connect(facts) as connection:
        return observed(name, ask(connection, facts, name))


def promote(environment: Environment, name: str) -> None:
    """Let a paused canary go on to all requests; it has no effect on one that does already.

    Raises Refusal when no canary is under way, or when it has not reached its weight yet.
    """
    _released_as_canary(environment, name)
    facts = contract.load(environment)
    with cluster.connect(facts) as connection:
        found = ask(connection, facts, name)
        if found.status.get("abort"):
            raise _refusal(
                name, "its canary was aborted", f"End it: {_yard('abort', environment, name)}"
            )
        if found.current == found.stable or found.beyond_pause:
            return
        if not found.status.get("pauseConditions"):
            raise _refusal(
                name,
                f"its canary has not reached its weight yet: {found.status.get('message')}",
                f"Wait until `yard status {environment.name}` shows the weight.",
            )
        _patch_status(connection, name, {"pauseConditions": None})


def abort(environment: Environment, name: str) -> None:
    """Send all requests to the stable version again; it has no effect on an aborted roll-out.

    Raises Refusal when what should run is the stable version already.
    """
    facts = contract.load(environment)
    with cluster.connect(facts) as connection:
        found = ask(connection, facts, name)
        if found.current == found.stable or not found.stable:
            raise _refusal(
                name,
                "no other version than the stable one is being rolled out",
                f"See `yard status {environment.name}`.",
            )
        if not found.status.get("abort"):
            _patch_status(connection, name, {"abort": True})


def wait(
    environment: Environment, name: str, report: Report, digest: str | None = None
) -> Observed:
    """Wait until a roll-out is healthy, or pauses at its canary's weight.

    ``digest`` is what must be rolled out. Raises RolloutFailed when something else is, when pods
    cannot start, or when the Rollout's own deadline is over.
    """
    return wait_for_all(environment, {name: digest}, report)[name]


def wait_for_all(
    environment: Environment, digests: Mapping[str, str | None], report: Report
) -> dict[str, Observed]:
    """As :func:`wait` for several roll-outs at once, by name: each look asks for all together."""
    facts = contract.load(environment)
    patience = {name: trouble.Patience() for name in digests}
    while True:
        with cluster.connect(facts) as connection:
            there = rollout_state.find_all(connection, *(digests if len(digests) == 1 else ()))
            looks = {name: rollout_state.known(there, facts, name) for name in digests}
            seen = {name: observed(name, found) for name, found in looks.items()}
            for name, digest in digests.items():
                _same(environment, seen[name], digest)
            open_ones = [name for name in digests if not _reached(seen[name], looks[name])]
            for name in open_ones[:1]:
                one = seen[name]
                report(f"{name}: {one.message or one.phase}", one.ready, one.wanted)
            for name in open_ones:
                pods = rollout_state.pods(connection, name, looks[name].current)
                if patience[name].is_over(seen[name].phase, trouble.hopeless(pods)):
                    why = trouble.explain(connection, pods) or "it has no pods"
                    raise _failed(environment, seen[name], why)
        if not open_ones:
            _let_the_gateway_hear(looks, report)
            return seen
        time.sleep(LOOK_S)


def _reached(seen: Observed, found: Facts) -> bool:
    return seen.phase == "Healthy" or (seen.phase == "Paused" and found.at_weight)


def _same(environment: Environment, seen: Observed, digest: str | None) -> None:
    if digest is not None and seen.digest != digest:
        raise RolloutFailed(
            f"{seen.name} rolls out {seen.digest} instead of {digest}. Somebody else shipped at "
            f"the same time: look at `yard status {environment.name}`, then ship again."
        )


def _failed(environment: Environment, seen: Observed, why: str) -> RolloutFailed:
    return RolloutFailed(
        f"{seen.name} {seen.digest} is not rolled out: {seen.message or seen.phase}; {why}. "
        f"The stable version keeps its requests; see `yard logs {seen.name} --in "
        f"{environment.name}`."
    )


def wait_aborted(environment: Environment, name: str, report: Report) -> Observed:
    """Wait until the stable version gets all requests again; raises RolloutFailed when it does not.

    The roll-out stays degraded until its template is the stable one again, so write that down
    (``release.abandon``) and run ``up`` of the models.
    """
    facts = contract.load(environment)
    started = time.monotonic()
    while True:
        with cluster.connect(facts) as connection:
            found = ask(connection, facts, name)
        seen = observed(name, found)
        weights = {one.digest: one.weight for one in seen.versions}
        report(f"{name}: {seen.message or seen.phase}", 0, 0)
        if weights.get(seen.digest) == 0 and seen.phase == "Degraded":
            _let_the_gateway_hear({name: found}, report)
            return seen
        if time.monotonic() - started > trouble.HOPELESS_S:
            raise RolloutFailed(
                f"{name}: the canary still gets {weights.get(seen.digest)} % of the requests a "
                f"minute after the abort ({seen.message}). Argo Rollouts should have moved them: "
                f"see its pods in `yard status {environment.name}`."
            )
        time.sleep(LOOK_S)


def _let_the_gateway_hear(looks: Mapping[str, Facts], report: Report) -> None:
    """Sleep until the gateway obeys the last change of weights; not at all after an old one."""
    if not looks:
        return
    name, found = max(looks.items(), key=lambda one: one[1].moved)
    age = (datetime.now(UTC) - found.moved).total_seconds()
    left = GATEWAY_S - max(age, 0.0)
    if left > 0:
        report(f"{name}: the gateway takes over the weights", 0, 0)
        time.sleep(left)


def _released_as_canary(environment: Environment, name: str) -> None:
    released = release.read(environment, name)
    if released is None or released.weight is None:
        raise _refusal(
            name,
            "it has no canary",
            f"Ship one: `yard ship {name} --to {environment.name} --version V --canary WEIGHT`.",
        )


def _refusal(name: str, rule: str, remedy: str) -> Refusal:
    return Refusal("model", name, rule, remedy)


def _yard(verb: str, environment: Environment, name: str) -> str:
    return f"`yard {verb} {name} --in {environment.name}`."


def _patch_status(connection: client.ApiClient, name: str, values: dict[str, object]) -> None:
    custom(connection).patch_namespaced_custom_object_status(
        GROUP,
        VERSION,
        labels.NAMESPACE,
        ROLLOUTS,
        name,
        {"status": values},
        field_manager="yard",
        _content_type=MERGE,
        _request_timeout=PATIENCE_S,
    )
