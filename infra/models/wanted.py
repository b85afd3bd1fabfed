"""What should run in an environment, as its cluster allows: one ModelServiceArgs per release.

It knows no engine: `yard` asks it which services a run must look at, without loading Pulumi.
"""

import os
from collections.abc import Collection
from dataclasses import dataclass

from infra import digests, refusal
from infra.contract import Contract, Pool
from infra.environment import Environment
from infra.models.release import Release, read, releases
from infra.platform import spaces

ONLY = "MODELYARD_ONLY_MODELS"
"""Names, by commas, of the services that a run registers; not set: all. Whoever sets it must run
Pulumi with these services as its targets, or the engine deletes all others: ci.pipeline.models."""


@dataclass(frozen=True, kw_only=True)
class ModelServiceArgs:
    """A release, and the facts of the cluster that its pods depend on."""

    release: Release
    image: str
    """By digest, as nodes pull it."""
    environment: str
    pool: Pool
    pull_secret: str | None
    """Name of the Secret with which pods pull; None where nodes may by themselves."""
    entry_point: str
    """Of the gateway, where its path is served."""
    host: str | None
    """Host name of its path; None for any."""
    key: str
    """Of all that the service's objects are made from: the same key means the same objects."""


def wanted(
    environment: Environment, facts: Contract, only: Collection[str] | None = None
) -> list[ModelServiceArgs]:
    """What should run, all or ``only`` what is named; raises Refusal for what cannot."""
    if only is None:
        found = releases(environment)
    else:
        named = [read(environment, name) for name in sorted(only)]
        found = [release for release in named if release is not None]
    return [arguments(release, facts) for release in found]


def only() -> set[str] | None:
    """The services that this run is about, from the environment; None for all."""
    value = os.environ.get(ONLY)
    return None if value is None else set(filter(None, value.split(",")))


def arguments(release: Release, facts: Contract) -> ModelServiceArgs:
    """What a release needs in this cluster; raises Refusal when its pool cannot hold it."""
    try:
        pool = facts.pool(release.pool)
    except KeyError:
        known = ", ".join(pool.kind for pool in facts.pools)
        raise refusal.Refusal(
            f"release {release.name}: pool",
            release.pool,
            f"environment {facts.environment} has no such pool",
            f"It has: {known}. Change serving.pool in bentos/{release.name}.yaml, or add the pool.",
        ) from None
    if release.gpus > pool.gpus_per_node:
        raise refusal.Refusal(
            f"release {release.name}: gpus",
            release.gpus,
            f"a node of pool {pool.name} has {pool.gpus_per_node}, and a pod runs on one node",
            f"Set serving.gpus in bentos/{release.name}.yaml to at most {pool.gpus_per_node}.",
        )
    image = f"{facts.registry.pull}/{release.name}@{release.digest}"
    secret = spaces.PULL_SECRET if facts.registry.pulled_by == "password" else None
    parts = (
        digests.program(),
        release.model_dump_json(),
        image,
        pool.model_dump_json(),
        secret,
        facts.kubeconfig,
        facts.gateway.entry_point,
        facts.host,
    )
    return ModelServiceArgs(
        release=release,
        image=image,
        environment=facts.environment,
        pool=pool,
        pull_secret=secret,
        entry_point=facts.gateway.entry_point,
        host=facts.host,
        key=digests.of(str(part).encode() for part in parts),
    )
