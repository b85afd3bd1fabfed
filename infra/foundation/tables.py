"""What is known of AWS and of NVIDIA's GPUs: data with a source and a date, in ``tables/``.

Programs make no invokes, so that they preview without an account: what an invoke would answer
stands here. `ci.aws.survey` compares it with an account when there is one.
"""

from functools import cache
from pathlib import Path
from typing import Literal

from infra import refusal
from infra.names import Closed

FOLDER = Path(__file__).parent / "tables"
INSTANCES = FOLDER / "instances.yaml"

Architecture = Literal["x86_64", "arm64"]
Capacity = Literal["on-demand", "spot", "capacity-block"]
Kind = Literal["nvidia", "neuron"]


class Accelerator(Closed):
    """Accelerators of one instance: how many, and the memory of each."""

    kind: Kind
    name: str
    number: int
    memory_mib: int


class Instance(Closed):
    """One instance type. ``interfaces`` are those of its first network card."""

    arch: Architecture
    vcpus: int
    memory_mib: int
    interfaces: int
    addresses_per_interface: int
    network_cards: int
    efa: int
    """Elastic Fabric Adapters that it takes at most; 0: none."""
    capacity: tuple[Capacity, ...]
    zones: tuple[str, ...]
    accelerator: Accelerator | None = None


class Instances(Closed):
    """Instance types by name, and availability zones by region (zone ids, the same everywhere)."""

    source: str
    date: str
    zones: dict[str, tuple[str, ...]]
    instances: dict[str, Instance]


class Gpus(Closed):
    """MIG profiles by GPU and its MiB: how many of each one GPU yields. Without MIG: not here."""

    source: str
    date: str
    mig: dict[str, dict[str, int]]


class Set(Closed):
    """Versions that were seen to work together, end to end."""

    kubernetes: str
    image_release: str
    """Release of the EKS-optimized AL2023 images of all pools."""
    containerd: str
    driver: str
    toolkit: str
    device_plugin: str
    dcgm_exporter: str
    addons: dict[str, str]
    restarts_containerd: bool
    """Whether nodes must restart containerd after nodeadm has written its configuration."""
    seen: str
    """Who ran it, and what is not certain."""


class Sets(Closed):
    """Known-good sets by name."""

    source: str
    date: str
    sets: dict[str, Set]


@cache
def instances() -> Instances:
    """The table of instance types."""
    return refusal.read(INSTANCES, Instances)


@cache
def gpus() -> Gpus:
    """The table of GPUs that can be divided."""
    return refusal.read(FOLDER / "gpus.yaml", Gpus)


@cache
def sets() -> Sets:
    """The table of known-good sets."""
    return refusal.read(FOLDER / "sets.yaml", Sets)
