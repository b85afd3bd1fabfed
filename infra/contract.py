"""The contract: typed facts that a cluster hands to what runs on it.

Ansible writes it for a cluster of hosts, a person writes it for an existing one. Components ask it for
what differs; no code tests an environment's name. It holds addresses and paths of secrets, never a
secret.
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from infra import places, refusal
from infra.environment import Environment
from infra.names import Digest, DnsLabel, NodePort, Port


class Part(BaseModel, extra="forbid", frozen=True):
    """A part of the contract: no unknown keys, no changes after load."""


class Registry(Part):
    """One registry, two addresses: nodes pull by ``pull``, this machine pushes by ``push``."""

    pull: str
    push: str
    node_port: NodePort


class Gateway(Part):
    """Where predictions are asked for."""

    url: str
    node_port: NodePort
    port: Port


class Pool(Part):
    """A pool as pods see it: the labels that select its nodes, the taint that guards them."""

    name: DnsLabel
    kind: Literal["control", "cpu", "gpu"]
    simulated: bool
    gpus_per_node: int
    labels: dict[str, str]
    taint: str | None = None
    """``key=value:effect``, or None where any pod may land."""


class Image(Part):
    """A platform image that the nodes have or can pull."""

    reference: str
    digest: Digest

    @property
    def pinned(self) -> str:
        """Reference by digest, the only form that a pod may name."""
        repository = self.reference.rsplit(":", 1)[0]
        return f"{repository}@{self.digest}"


class Contract(Part):
    """Everything that the platform and the models need to know of their cluster."""

    environment: DnsLabel
    api: str
    kubeconfig: Path
    credentials: Path
    """Folder of the environment's secrets on this machine (see ci.pipeline.credentials)."""
    storage_class: str
    registry: Registry
    gateway: Gateway
    pools: list[Pool]
    network_engine: str
    enforces_network_policy: bool
    pod_cidr: str
    service_cidr: str
    node_cidr: str
    images: dict[str, Image]
    crds: dict[str, Path]
    """Files of custom resource definitions by component: traefik, rollouts."""

    def pool(self, kind: Literal["control", "cpu", "gpu"]) -> Pool:
        """The first pool of a kind; KeyError when there is none."""
        for pool in self.pools:
            if pool.kind == kind:
                return pool
        raise KeyError(kind)


def path(environment: str) -> Path:
    """Where the contract of an environment stands on this machine."""
    return places.state(environment) / "contract.json"


def load(environment: Environment) -> Contract:
    """Load the contract; raises Refusal when the cluster has not been made yet."""
    where = path(environment.name)
    if not where.is_file():
        raise refusal.Refusal(
            "contract",
            str(where),
            "it does not exist yet",
            f"Run `yard up {environment.name}`, which makes the cluster and writes it.",
        )
    return refusal.read(where, Contract)
