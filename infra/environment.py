"""The one typed, closed model of an environment. Nothing else reads configuration.

An environment is data: ``Pulumi.<name>.yaml`` at the root of the repository, under
``config: modelyard:environment:``. Pulumi programs, Ansible (through its vars plugin) and ``yard``
all load the same file with :func:`load`.
"""

import ipaddress
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator

from infra import places, refusal
from infra.names import Cidr, DnsLabel, NodePort, Port


class Closed(BaseModel, extra="forbid", frozen=True):
    """A part of the model: no unknown keys, no changes after load."""


class Cluster(Closed):
    """Where the cluster comes from. ``hosts``: Ansible and kubeadm over an inventory."""

    substrate: Literal["hosts", "aws", "existing"]
    inventory: DnsLabel | None = None


class Network(Closed):
    """Address ranges; ``hosts`` is the subnet of node containers."""

    hosts: Cidr
    pods: Cidr
    services: Cidr

    @model_validator(mode="after")
    def _apart(self) -> Self:
        ranges = {name: ipaddress.ip_network(value) for name, value in self}
        names = list(ranges)
        for index, one in enumerate(names):
            for other in names[index + 1 :]:
                if ranges[one].overlaps(ranges[other]):
                    raise ValueError(f"network.{one} and network.{other} overlap")
        return self


class Ports(Closed):
    """Ports on 127.0.0.1 of the machine, all different."""

    api: Port
    gateway: Port
    registry: Port

    @model_validator(mode="after")
    def _different(self) -> Self:
        values = list(self.model_dump().values())
        if len(set(values)) != len(values):
            raise ValueError("ports must differ from each other")
        return self


class NodePorts(Closed):
    """Ports that every node opens inside the cluster's network."""

    gateway: NodePort = 30443
    registry: NodePort = 30500


class Pool(Closed):
    """Nodes of one kind. ``gpus_per_node`` counts the devices that a simulated pool advertises."""

    name: DnsLabel
    kind: Literal["control", "cpu", "gpu"]
    simulated: bool = False
    gpus_per_node: Annotated[int, Field(ge=0, le=16)] = 0

    @model_validator(mode="after")
    def _gpus(self) -> Self:
        if (self.kind == "gpu") != (self.gpus_per_node > 0):
            raise ValueError("a gpu pool has gpus_per_node of 1 to 16, any other pool has 0")
        if self.simulated and self.kind != "gpu":
            raise ValueError("only a gpu pool can be simulated")
        return self


class Node(Closed):
    """One node of a cluster of hosts: short name, pool, address in ``network.hosts``."""

    name: DnsLabel
    pool: DnsLabel
    address: str


# Below it stand the network's own address and the container engine's gateway.
FIRST_ADDRESS = 11


class Environment(Closed):
    """All of one environment's configuration."""

    name: DnsLabel
    production: bool = False
    cluster: Cluster
    supply: Literal["detect", "vendor", "mirror", "closed"] = "detect"
    releases: Literal["git", "state"] = "git"
    """What should run: ``git`` in bentos/releases/NAME, ``state`` in the state folder."""
    network: Network
    ports: Ports
    node_ports: NodePorts = NodePorts()
    pools: Annotated[list[Pool], Field(min_length=1)]
    registry_gib: Annotated[int, Field(ge=1, le=1000)] = 10
    prometheus_retention_days: Annotated[int, Field(ge=1, le=365)] = 7

    @model_validator(mode="after")
    def _sound(self) -> Self:
        names = [pool.name for pool in self.pools]
        if len(set(names)) != len(names):
            raise ValueError("pools must have different names")
        if self.production and any(pool.simulated for pool in self.pools):
            raise ValueError("a production environment has no simulated pool")
        if self.production and self.supply == "closed":
            raise ValueError(
                "stand-ins never serve a production environment: supply must not be closed"
            )
        if self.cluster.substrate == "hosts" and self.cluster.inventory is None:
            raise ValueError("a cluster of hosts needs cluster.inventory")
        if len({pool.kind for pool in self.pools}.intersection({"control", "cpu"})) < 2:
            raise ValueError("pools must have one of kind control and one of kind cpu")
        hosts = ipaddress.ip_network(self.network.hosts)
        if hosts.num_addresses < FIRST_ADDRESS + len(self.pools) + 1:
            raise ValueError(f"network.hosts has too few addresses for {len(self.pools)} nodes")
        return self

    def pool(self, kind: Literal["control", "cpu", "gpu"]) -> Pool:
        """The first pool of a kind; KeyError when there is none."""
        for pool in self.pools:
            if pool.kind == kind:
                return pool
        raise KeyError(kind)

    def nodes(self) -> list[Node]:
        """One node per pool, ``control-1`` and so on, with fixed addresses in ``network.hosts``."""
        first = ipaddress.ip_network(self.network.hosts).network_address + FIRST_ADDRESS
        return [
            Node(name=f"{pool.name}-1", pool=pool.name, address=str(first + index))
            for index, pool in enumerate(self.pools)
        ]


KEY = ("config", "modelyard:environment")


def load(name: str) -> Environment:
    """Load the environment ``name``; raises :class:`infra.refusal.Refusal` for anything unsound."""
    path = places.REPOSITORY / f"Pulumi.{name}.yaml"
    if not path.is_file():
        known = ", ".join(names()) or "none"
        raise refusal.Refusal(
            "environment", name, f"{path} does not exist", f"Known environments: {known}."
        )
    environment = refusal.read(path, Environment, inside=KEY)
    if environment.name != name:
        raise refusal.Refusal(
            f"{path}: name", environment.name, "it must equal the file's name", f"Set it to {name}."
        )
    return environment


def names() -> list[str]:
    """Environments that the checkout has."""
    paths = places.REPOSITORY.glob("Pulumi.*.yaml")
    return sorted(path.name.split(".")[1] for path in paths)
