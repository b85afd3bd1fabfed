"""The contract: typed facts that a cluster hands to what runs on it.

Ansible writes it for a cluster of hosts, the foundation's outputs make it for one in an account, a
person writes it for an existing one. Components ask it for what differs; no code tests an
environment's name. It holds addresses and paths of secrets, never a secret.
"""

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field

from infra import environment as environments
from infra import existing, places, refusal
from infra.environment import Environment
from infra.foundation import promise
from infra.foundation.told import Told
from infra.names import Closed as Part
from infra.names import Digest, DnsLabel, NodePort, Port
from infra.platform import gateway_names, spaces
from infra.storage import OWN, StorageClass

Existing = Literal["registry", "gateway", "metrics", "monitoring", "devices"]
"""Components that a cluster may have already: ``gateway`` is Traefik, ``monitoring`` Prometheus,
``metrics`` the API of resource metrics, ``devices`` the plugins by which nodes offer their
accelerators."""


class Registry(Part):
    """One registry, two addresses: nodes pull by ``pull``, this machine pushes by ``push``."""

    pull: str
    push: str
    node_port: NodePort = 30500
    """Of the platform's own."""
    pulled_by: Literal["password", "nodes"] = "password"
    """Who may pull: pods that have the password's Secret, or nodes by their own role."""


class Gateway(Part):
    """Where predictions are asked for, and the Traefik that takes them: by default the platform's.

    All but the address is only for a person to write whose team has its own.
    """

    url: str
    port: Port
    node_port: NodePort = 30443
    """Of the platform's own."""
    kind: str = "traefik"
    namespace: DnsLabel = spaces.GATEWAY
    labels: dict[str, str] = Field(default={"app.kubernetes.io/name": spaces.TRAEFIK})
    """Of its pods."""
    entry_point: str = gateway_names.ENTRY_POINT
    """Where it takes TLS from clients."""
    cross_namespace: bool = True
    """Whether a route may name what stands in another namespace: a model's names the middlewares
    that all models share."""
    ca: Path | None = None
    """Certificate of who signed the team's; None: someone whom this machine trusts."""


class Database(Part):
    """A PostgreSQL database, and where its user and password are to be read."""

    address: str
    secret: str


class Pool(Part):
    """A pool as pods see it: the labels that select its nodes, the taint that guards them."""

    name: DnsLabel
    kind: Literal["control", "cpu", "gpu", "neuron"]
    simulated: bool
    gpus_per_node: int
    """Devices that pods can ask for on one node, after sharing."""
    mig: bool = False
    """Whether its GPUs are divided, all of a node alike."""
    replicas: Annotated[int, Field(ge=1)] = 1
    """How often each GPU is offered (time-slicing)."""
    efa: bool = False
    """Whether its nodes have Elastic Fabric Adapters that pods can ask for."""
    labels: dict[str, str]
    taint: str | None = None
    """``key=value:effect``, or None where any pod may land."""


class Autoscaling(Part):
    """Pools of an account whose sizes an autoscaler changes, found by the cluster's tag."""

    cluster: str
    region: str


class Image(Part):
    """A platform image that the nodes have or can pull."""

    reference: str
    digest: Digest

    @property
    def pinned(self) -> str:
        """Reference by digest, the only form that a pod may name."""
        repository = self.reference.rsplit(":", 1)[0]
        return f"{repository}@{self.digest}"


class Described(Part):
    """What the owner of a cluster can tell of it. Of an existing one a person writes it down."""

    api: str
    kubeconfig: Path
    storage_class: str
    registry: Registry
    gateway: Gateway
    pools: list[Pool]
    network_engine: str
    enforces_network_policy: bool
    existing: tuple[Existing, ...] = ()
    """What the cluster or its team has already: the platform installs none of its own."""
    prometheus: DnsLabel = "monitoring"
    """Namespace of the Prometheus that may read metrics, the platform's or the team's."""
    shippers: str | None = None
    """Group of those who may release models and do nothing else."""
    kubelets_certified: bool = False
    """Whether kubelets serve certificates that the cluster's own CA signed."""
    node_exporter: bool = False
    """Whether every node answers with metrics of its disks and its clock, at port 9100."""

    @property
    def classes(self) -> tuple[StorageClass, ...]:
        """Storage classes that the platform makes."""
        return (OWN,) if self.storage_class == OWN.name else ()


class Contract(Described):
    """Everything that the platform and the models need to know of their cluster."""

    environment: DnsLabel
    credentials: Path
    """Folder of the environment's secrets on this machine (see ci.pipeline.credentials)."""
    pod_cidr: str
    service_cidr: str
    node_cidr: str
    images: dict[str, Image]
    crds: dict[str, Path]
    """Custom resource definitions by component (traefik, rollouts): a file or a folder of files."""
    identity: Literal["none", "pod-identity"] = "none"
    """How pods get rights outside of the cluster."""
    autoscaling: Autoscaling | None = None
    """Where pools grow and shrink by themselves."""
    databases: Annotated[dict[str, Database], Field(default_factory=dict)]
    """By use: tracking, events."""
    artifacts: str | None = None
    """Where artifacts lie, as a URL."""
    storage: tuple[StorageClass, ...] = ()
    """Storage classes that the environment names."""
    guards: Literal["cluster", "own"] = "own"
    """Which namespaces the admission policies judge: all but the system's, or only the platform's
    own, on a cluster that other teams use too."""
    promised: bool = False
    """True before a cluster exists: the addresses are the planned ones, and what only a cluster
    can tell (digests of images, secrets, definitions) is not known."""

    @property
    def classes(self) -> tuple[StorageClass, ...]:
        """Storage classes that the platform makes, the cluster's default first."""
        return self.storage or super().classes

    @property
    def host(self) -> str | None:
        """The one host name of our routes on a team's gateway; our own serves nothing else."""
        return urlsplit(self.gateway.url).hostname if "gateway" in self.existing else None

    @property
    def authority(self) -> Path | None:
        """Certificate by which a client knows the gateway; None: by whom this machine trusts."""
        if "gateway" not in self.existing:
            return self.credentials / "ca.crt"
        return self.gateway.ca.expanduser() if self.gateway.ca else None

    def pool(self, kind: Literal["control", "cpu", "gpu", "neuron"]) -> Pool:
        """The first pool of a kind; KeyError when there is none."""
        for pool in self.pools:
            if pool.kind == kind:
                return pool
        raise KeyError(kind)


def path(environment: str) -> Path:
    """Where the contract of an environment stands on this machine."""
    return places.state(environment) / "contract.json"


def promised(environment: Environment) -> Contract:
    """What the contract of a cluster will say, as far as the environment decides it."""
    state = places.state(environment.name)
    network = environment.network
    shared = {
        "environment": environment.name,
        "kubeconfig": state / "kubeconfig",
        "credentials": state / "credentials",
        "pod_cidr": network.pods,
        "service_cidr": network.services,
        "node_cidr": network.hosts,
        "images": {},
        "crds": {},
        "guards": "own" if environment.cluster.substrate == "existing" else "cluster",
        "promised": True,
    }
    if environment.aws:
        own = promise.in_account(environment, environment.aws)
    elif environment.cluster.contract:
        # The environment's own copy of the kubeconfig stands with its state.
        own = described(environment).model_dump(exclude={"kubeconfig"})
    else:
        own = _on_hosts(environment)
    return Contract.model_validate(shared | own)


def described(environment: Environment) -> Described:
    """What a person wrote of an existing cluster; raises Refusal for what cannot be."""
    where = by_hand(environment)
    told = refusal.read(where, Described)
    for key, value, rule, remedy in existing.faults(told):
        raise refusal.Refusal(f"{where}: {key}", value, rule, remedy)
    return told


def by_hand(environment: Environment) -> Path:
    """The file that a person wrote; in the checkout unless the environment names it absolutely."""
    return places.REPOSITORY / str(environment.cluster.contract)


def settled_existing(
    environment: Environment, images: dict[str, Image], crds: dict[str, Path]
) -> Contract:
    """The contract of an existing cluster, once its registry has the platform's images."""
    update = {"images": images, "crds": crds, "promised": False}
    return promised(environment).model_copy(update=update)


def settled(
    environment: Environment, told: Told, images: dict[str, Image], crds: dict[str, Path]
) -> Contract:
    """The contract of a cluster in an account, once the foundation has told what only AWS knows."""
    return promised(environment).model_copy(
        update={
            "api": told.api,
            "databases": {
                use: Database(address=one.address, secret=one.secret)
                for use, one in told.databases.items()
            },
            "artifacts": told.artifacts,
            "images": images,
            "crds": crds,
            "promised": False,
        }
    )


def _on_hosts(environment: Environment) -> dict[str, object]:
    ports, inside = environment.published, environment.node_ports
    return {
        "api": f"https://127.0.0.1:{ports.api}",
        "storage_class": (environment.storage or (OWN,))[0].name,
        "storage": environment.storage,
        "registry": Registry(
            pull="registry.modelyard.internal",
            push=f"127.0.0.1:{ports.registry}",
            node_port=inside.registry,
        ),
        "gateway": Gateway(
            url=f"https://127.0.0.1:{ports.gateway}", node_port=inside.gateway, port=ports.gateway
        ),
        "pools": [_pool(pool) for pool in environment.pools],
        "network_engine": environment.engine,
        "enforces_network_policy": environment.engine == "cilium",
        "node_exporter": environment.node_exporter,
    }


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
        mig=pool.mig is not None,
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
