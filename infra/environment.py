"""The one typed, closed model of an environment. Nothing else reads configuration.

An environment is data: ``Pulumi.<name>.yaml`` at the root of the repository, under
``config: modelyard:environment:``. Pulumi programs, Ansible (through its vars plugin) and ``yard``
all load the same file with :func:`load`.
"""

import ipaddress
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from infra import places, refusal
from infra import storage as volumes
from infra.foundation import soundness, tables
from infra.foundation.settings import Aws
from infra.names import Cidr, Closed, DnsLabel, NodePort, Port
from infra.refusal import Refusal
from infra.storage import StorageClass


class Cluster(Closed):
    """Where the cluster comes from.

    ``hosts``: Ansible and kubeadm over an inventory. ``aws``: infra/foundation. ``existing``: a
    team's own, whose contract a person writes.
    """

    substrate: Literal["hosts", "aws", "existing"]
    inventory: DnsLabel | None = None
    edge: DnsLabel | None = None
    """Inventory of machines without Kubernetes that run the environment's models."""
    contract: str | None = None
    """File that describes an existing cluster, from the root of the checkout or absolute."""


Engine = Literal["bridge", "cilium"]
"""How pods of hosts are wired. ``bridge``: routes between neighbours on one network segment, for
node containers. ``cilium``: a tunnel over any number of subnets, and NetworkPolicies hold."""


class Network(Closed):
    """Address ranges; ``hosts`` is the subnet of node containers, or the VPC's first range."""

    hosts: Cidr
    pods: Cidr
    services: Cidr
    engine: Engine | None = None
    """Of hosts, ``bridge`` without one; an account and an existing cluster have their own."""

    @model_validator(mode="after")
    def _apart(self) -> Self:
        keys = ("hosts", "pods", "services")
        ranges = {name: ipaddress.ip_network(getattr(self, name)) for name in keys}
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
    """Nodes of one kind. ``gpus_per_node`` counts the devices that pods can ask for on one node:
    GPUs, or with ``mig`` their parts."""

    name: DnsLabel
    kind: Literal["control", "cpu", "gpu"]
    nodes: Annotated[int, Field(ge=1, le=50)] = 1
    """Of node containers; a team's own machines stand in their inventory."""
    simulated: bool = False
    gpus_per_node: Annotated[int, Field(ge=0, le=112)] = 0
    mig: str | None = None
    """Profile that all GPUs of a node are divided by, such as 1g.10gb."""

    @model_validator(mode="after")
    def _gpus(self) -> Self:
        most = 112 if self.mig else 16
        if (self.kind == "gpu") != (self.gpus_per_node > 0) or self.gpus_per_node > most:
            raise ValueError(f"a gpu pool has gpus_per_node of 1 to {most}, any other pool has 0")
        if self.simulated and self.kind != "gpu":
            raise ValueError("only a gpu pool can be simulated")
        if self.mig and (self.kind != "gpu" or self.simulated):
            raise ValueError("only real GPUs can be divided; mig is of a pool of these")
        if self.mig:
            known = {profile for profiles in tables.gpus().mig.values() for profile in profiles}
            if self.mig not in known:
                raise ValueError(f"mig is a profile of some GPU: one of {', '.join(sorted(known))}")
        return self


class Node(Closed):
    """One node of a cluster of hosts: short name, pool, address in ``network.hosts``."""

    name: DnsLabel
    pool: DnsLabel
    address: str


class Quota(Closed):
    """What all models of an environment may use together. It bounds a fault, such as a controller
    that makes pods without end, and what one environment takes of a cluster of many."""

    pods: Annotated[int, Field(ge=1, le=100_000)] = 1000
    cpu: Annotated[int, Field(ge=1, le=1_000_000)] = 128
    """Cores that pods request."""
    memory_gib: Annotated[int, Field(ge=1, le=10_000_000)] = 1024
    """GiB that pods request; their limits may be twice as much."""


# Below it stand the network's own address and the container engine's gateway.
FIRST_ADDRESS = 11

PODS_OF_NODE = 256
"""Addresses for pods that each node has: a /24 (plugins/vars/environment.py of Ansible)."""


class Environment(Closed):
    """All of one environment's configuration."""

    name: DnsLabel
    production: bool = False
    protected: bool = False
    """Nothing takes the environment away while this is true."""
    cluster: Cluster
    kubernetes: Annotated[str, Field(pattern=r"^1\.[0-9]+$")] | None = None
    """Minor version on hosts, the newest of ci/toolchain without one; a change is an upgrade. An
    account's stands in ``aws``, an existing cluster has its own."""
    supply: Literal["detect", "vendor", "mirror", "closed"] = "detect"
    releases: Literal["git", "state"] = "git"
    """What should run: ``git`` in bentos/releases/NAME, ``state`` in the state folder."""
    network: Network
    ports: Ports | None = None
    """Of this machine; in an account clients reach the gateway at ``aws.domain``, on an existing
    cluster where its contract says."""
    node_ports: NodePorts = NodePorts()
    pools: tuple[Pool, ...] = ()
    """Of a cluster of hosts. Those of an account stand in ``aws.pools``, those of an existing
    cluster in its contract."""
    aws: Aws | None = None
    models: Quota = Quota()
    storage: tuple[StorageClass, ...] = ()
    """Classes of volumes on hosts, the platform's first; without one, folders of the nodes."""
    registry_gib: Annotated[int, Field(ge=1, le=1000)] = 10
    prometheus_retention_days: Annotated[int, Field(ge=1, le=365)] = 7
    node_exporter: bool = False
    """Whether Prometheus asks a team's own machines for disks and clocks; node containers have the
    machine's."""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.production and self.supply == "closed":
            raise ValueError(
                "stand-ins never serve a production environment: supply must not be closed"
            )
        if (self.cluster.substrate == "existing") != (self.cluster.contract is not None):
            rule = "an existing cluster has one, and no other has"
            remedy = "Name the file that describes the cluster, or remove cluster.contract."
            raise Refusal("cluster.contract", self.cluster.contract, rule, remedy)
        if self.cluster.substrate != "hosts":
            self._without_hosts()
        if self.cluster.substrate == "aws":
            self._in_an_account()
        elif self.cluster.substrate == "existing":
            self._on_what_is_there()
        else:
            self._on_hosts()
        return self

    def _without_hosts(self) -> None:
        storage = ", ".join(one.name for one in self.storage)
        for key, value, rule in (
            ("kubernetes", self.kubernetes, "only on hosts does this repository bring Kubernetes"),
            (
                "node_exporter",
                self.node_exporter,
                "only on hosts does this repository bring node exporter",
            ),
            ("network.engine", self.network.engine, "only on hosts does this repository wire pods"),
            (
                "storage",
                storage,
                "an account has its own, and an existing cluster's contract names one",
            ),
        ):
            if value:
                raise Refusal(key, value, rule, f"Remove {key}.")

    def _on_what_is_there(self) -> None:
        for key in ("aws", "ports", "pools"):
            if value := getattr(self, key):
                rule = "an existing cluster has it in its contract, or not at all"
                raise Refusal(key, value, rule, f"Remove {key}.")

    def _in_an_account(self) -> None:
        if self.aws is None:
            raise Refusal("aws", None, "a cluster in an account needs it", "Add aws.")
        if self.pools or self.ports:
            key = "pools" if self.pools else "ports"
            rule = "it is of clusters that are not in an account"
            raise Refusal(key, getattr(self, key), rule, f"Remove {key}; pools stand in aws.pools.")
        soundness.require(self, self.aws)

    def _on_hosts(self) -> None:
        if self.aws is not None:
            raise ValueError("aws describes an account: cluster.substrate must be aws")
        if self.ports is None:
            rule = "a cluster that is not in an account needs it"
            raise Refusal("ports", None, rule, "Add ports.")
        names = [pool.name for pool in self.pools]
        if len(set(names)) != len(names):
            raise ValueError("pools must have different names")
        if self.production and any(pool.simulated for pool in self.pools):
            raise ValueError("a production environment has no simulated pool")
        if self.cluster.substrate == "hosts" and self.cluster.inventory is None:
            raise ValueError("a cluster of hosts needs cluster.inventory")
        if len({pool.kind for pool in self.pools}.intersection({"control", "cpu"})) < 2:
            raise ValueError("pools must have one of kind control and one of kind cpu")
        controls = sum(pool.nodes for pool in self.pools if pool.kind == "control")
        if controls % 2 == 0:
            rule = "etcd needs a majority: an even number survives no more losses than one less"
            raise Refusal("pools: nodes of kind control", controls, rule, "Set an odd number.")
        count = sum(pool.nodes for pool in self.pools)
        if ipaddress.ip_network(self.network.hosts).num_addresses < FIRST_ADDRESS + count + 1:
            raise ValueError(f"network.hosts has too few addresses for {count} nodes")
        if ipaddress.ip_network(self.network.pods).num_addresses < count * PODS_OF_NODE:
            raise ValueError(f"network.pods has too few addresses for {count} nodes of 256 each")
        for key, value, rule, remedy in volumes.faults(self.storage, self.pools):
            raise Refusal(key, value, rule, remedy)

    @property
    def engine(self) -> Engine:
        """How pods of hosts are wired."""
        return self.network.engine or "bridge"

    @property
    def published(self) -> Ports:
        """Ports of this machine; of clusters that are not in an account."""
        if self.ports is None:
            raise TypeError(f"environment {self.name} publishes nothing on this machine")
        return self.ports

    def pool(self, kind: Literal["control", "cpu", "gpu"]) -> Pool:
        """The first pool of a kind; KeyError when there is none."""
        for pool in self.pools:
            if pool.kind == kind:
                return pool
        raise KeyError(kind)

    def nodes(self) -> list[Node]:
        """Nodes as ``POOL-NUMBER`` with fixed addresses in ``network.hosts``.

        The first of every pool, then the second of every pool, and so on: a pool that grows takes
        no address from a node that is there.
        """
        first = ipaddress.ip_network(self.network.hosts).network_address + FIRST_ADDRESS
        most = max((pool.nodes for pool in self.pools), default=0)
        names = [
            (pool.name, number)
            for number in range(1, most + 1)
            for pool in self.pools
            if number <= pool.nodes
        ]
        return [
            Node(name=f"{pool}-{number}", pool=pool, address=str(first + index))
            for index, (pool, number) in enumerate(names)
        ]


KEY = ("config", "modelyard:environment")


def load(name: str) -> Environment:
    """Load the environment ``name``; raises :class:`infra.refusal.Refusal` for anything unsound."""
    path = places.REPOSITORY / f"Pulumi.{name}.yaml"
    if not path.is_file():
        known = ", ".join(names()) or "none"
        raise Refusal(
            "environment", name, f"{path} does not exist", f"Known environments: {known}."
        )
    environment = refusal.read(path, Environment, inside=KEY)
    if environment.name != name:
        raise Refusal(
            f"{path}: name", environment.name, "it must equal the file's name", f"Set it to {name}."
        )
    return environment


def names() -> list[str]:
    """Environments that the checkout has."""
    paths = places.REPOSITORY.glob("Pulumi.*.yaml")
    return sorted(path.name.split(".")[1] for path in paths)
