"""What an environment says of its AWS account: plain data, no AWS type."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from infra.foundation.tables import Architecture, Capacity, Kind
from infra.names import Cidr, Closed, DnsLabel, TaintText

Account = Annotated[str, StringConstraints(pattern=r"^[0-9]{12}$")]
"""Number of an AWS account. A string: it may begin with 0."""

RoleArn = Annotated[str, StringConstraints(pattern=r"^arn:aws:iam::[0-9]{12}:role/.+$")]
Domain = Annotated[str, StringConstraints(pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?\.)+[a-z]{2,}$")]
Email = Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+\.[a-z]+$")]
Reservation = Annotated[str, StringConstraints(pattern=r"^cr-[0-9a-f]{8,17}$")]
Repository = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$")]
Percent = Annotated[int, Field(ge=1, le=100)]


def _not_everybody(value: str) -> str:
    if value.endswith("/0"):
        raise ValueError("the whole internet is not let in")
    return value


AccessCidr = Annotated[Cidr, AfterValidator(_not_everybody)]


class NoSharing(Closed):
    """A pod gets whole devices."""

    mode: Literal["none"] = "none"


class Mig(Closed):
    """Each GPU is divided into as many instances of one profile as it yields."""

    mode: Literal["mig"]
    profile: str


class TimeSlicing(Closed):
    """Each GPU is offered ``replicas`` times, without isolation of memory or faults."""

    mode: Literal["time-slicing"]
    replicas: Annotated[int, Field(ge=2, le=48)]


Sharing = Annotated[NoSharing | Mig | TimeSlicing, Field(discriminator="mode")]


class Accelerator(Closed):
    """What each node of a pool has; compared with the table of instance types."""

    kind: Kind
    number: Annotated[int, Field(ge=1, le=16)]


class Pool(Closed):
    """Nodes of one kind, which an autoscaler keeps between ``min`` and ``max``."""

    name: Annotated[DnsLabel, StringConstraints(max_length=24)]
    instance_types: Annotated[tuple[str, ...], Field(min_length=1, max_length=20)]
    arch: Architecture = "x86_64"
    accelerator: Accelerator | None = None
    sharing: Sharing = NoSharing()
    min: Annotated[int, Field(ge=0, le=1000)] = 0
    max: Annotated[int, Field(ge=1, le=1000)]
    capacity: Capacity = "on-demand"
    reservation: Reservation | None = None
    """Capacity reservation of a capacity block."""
    zones: tuple[str, ...] | None = None
    """Zone ids; None: all zones of the environment that offer the instance types."""
    disk_gib: Annotated[int, Field(ge=30, le=16000)] = 100
    labels: Annotated[dict[str, str], Field(default_factory=dict)]
    taints: tuple[TaintText, ...] = ()
    """``key=value:effect``, besides those that every accelerator pool has."""
    efa: bool = False
    placement_group: bool = False
    """Nodes close to each other, in one zone."""


class Database(Closed):
    """One PostgreSQL instance, for one use."""

    name: Annotated[DnsLabel, StringConstraints(max_length=24)]
    use: Literal["tracking", "events"]
    version: Annotated[str, StringConstraints(pattern=r"^1[4-9]\.[0-9]+$")]
    instance_class: Annotated[str, StringConstraints(pattern=r"^db\.[a-z0-9]+\.[a-z0-9]+$")]
    gib: Annotated[int, Field(ge=20, le=16000)]
    max_gib: Annotated[int, Field(ge=20, le=64000)]
    """Storage grows by itself up to here."""
    multi_az: bool = False
    backup_days: Annotated[int, Field(ge=1, le=35)]


class Artifacts(Closed):
    """Objects of training runs and reports."""

    old_versions_days: Annotated[int, Field(ge=1, le=3650)]
    """Days after which a replaced or deleted version is gone for good."""
    infrequent_access_days: Annotated[int, Field(ge=30, le=3650)] = 90
    archive_days: Annotated[int, Field(ge=1, le=3650)] | None = None


class Budget(Closed):
    """What a month may cost, and who hears of it at which shares."""

    usd_a_month: Annotated[int, Field(ge=1)]
    alerts_percent: Annotated[tuple[Percent, ...], Field(min_length=1, max_length=4)]
    emails: Annotated[tuple[Email, ...], Field(min_length=1, max_length=10)]


class Github(Closed):
    """Who may assume the roles of preview and deploy."""

    repository: Repository
    branch: str = "main"
    environment: str
    """GitHub environment whose protection rules guard a deploy."""


class Registries(Closed):
    """Repositories for our images, and the registries that nodes reach through a cache."""

    models: tuple[DnsLabel, ...]
    keep_images: Annotated[int, Field(ge=5, le=1000)] = 50
    caches: tuple[Literal["public.ecr.aws", "registry.k8s.io", "quay.io"], ...] = ()


class Aws(Closed):
    """One account, one region, one cluster."""

    account: Account
    region: str
    zones: Annotated[tuple[str, ...], Field(min_length=3, max_length=3)]
    versions: str
    """Name of a set in tables/sets.yaml."""
    nat: Literal["one", "per-zone"]
    api_access: tuple[AccessCidr, ...] = ()
    """Who may reach the API server from outside; nobody: it has no public endpoint."""
    clients: tuple[AccessCidr, ...] = ()
    """Ranges outside of the VPC, routed to it, from which clients may reach the gateway."""
    admins: tuple[RoleArn, ...] = ()
    """Roles of people that administer the cluster."""
    domain: Domain
    """Name under which clients reach the gateway; its owner points it at the load balancer."""
    log_days: Literal[7, 14, 30, 60, 90, 180, 365, 400] = 90
    pools: Annotated[tuple[Pool, ...], Field(min_length=1)]
    databases: tuple[Database, ...] = ()
    artifacts: Artifacts
    registries: Registries
    budget: Budget
    github: Github | None = None

    @property
    def registry(self) -> str:
        """Host of the account's container registry."""
        return f"{self.account}.dkr.ecr.{self.region}.amazonaws.com"
