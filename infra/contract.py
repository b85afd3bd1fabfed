"""The contract: typed facts that a cluster hands to what runs on it.

Ansible writes it for a cluster of hosts, a person writes it for an existing one. Components ask it
for what differs; no code tests an environment's name. It holds addresses and paths of secrets,
never a secret.
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from infra import environment as environments
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
    """Custom resource definitions by component (traefik, rollouts): a file or a folder of files."""
    kubelets_certified: bool = False
    """Whether kubelets serve certificates that the cluster's own CA signed."""
    promised: bool = False
    """True before a cluster exists: the addresses are the planned ones, and what only a cluster
    can tell (digests of images, secrets, definitions) is not known."""

    def pool(self, kind: Literal["control", "cpu", "gpu"]) -> Pool:
        """The first pool of a kind; KeyError when there is none."""
        for pool in self.pools:
            if pool.kind == kind:
                return pool
        raise KeyError(kind)


def path(environment: str) -> Path:
    """Where the contract of an environment stands on this machine."""
    return places.state(environment) / "contract.json"


def promised(environment: Environment) -> Contract:
    """What the contract of a cluster of hosts will say, as far as the environment decides it."""
    state = places.state(environment.name)
    ports, network = environment.ports, environment.network
    return Contract(
        environment=environment.name,
        api=f"https://127.0.0.1:{ports.api}",
        kubeconfig=state / "kubeconfig",
        credentials=state / "credentials",
        storage_class="local-path",
        registry=Registry(
            pull="registry.modelyard.internal",
            push=f"127.0.0.1:{ports.registry}",
            node_port=environment.node_ports.registry,
        ),
        gateway=Gateway(
            url=f"https://127.0.0.1:{ports.gateway}",
            node_port=environment.node_ports.gateway,
            port=ports.gateway,
        ),
        pools=[_pool(pool) for pool in environment.pools],
        network_engine="bridge",
        enforces_network_policy=False,
        pod_cidr=network.pods,
        service_cidr=network.services,
        node_cidr=network.hosts,
        images={},
        crds={},
        promised=True,
    )


def _pool(pool: environments.Pool) -> Pool:
    labels = {"modelyard.dev/pool": pool.name, "modelyard.dev/kind": pool.kind}
    taints = {
        "control": "node-role.kubernetes.io/control-plane=:NoSchedule",
        "cpu": None,
        "gpu": "nvidia.com/gpu=present:NoSchedule",
    }
    return Pool(
        name=pool.name,
        kind=pool.kind,
        simulated=pool.simulated,
        gpus_per_node=pool.gpus_per_node,
        labels=labels | ({"nvidia.com/gpu.present": "true"} if pool.kind == "gpu" else {}),
        taint=taints[pool.kind],
    )


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
