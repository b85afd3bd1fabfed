"""What a host is meant to be, what it was seen to be, and what was found about it."""

from enum import IntEnum
from typing import Annotated

from pydantic import BaseModel, Field

from infra.names import Closed


class State(IntEnum):
    """How a thing is; the number is the exit code of `yard validate`."""

    WELL = 0
    DEGRADED = 1
    BROKEN = 2


class Report(BaseModel):
    """What a host was seen to be; '' is the answer of what works, ``complaint:`` begins others."""

    container: bool
    system: str
    kernel: str
    containerd: str
    kubelet: str
    units: dict[str, str]
    certificates: dict[str, float | str]
    disks: dict[str, dict[str, float]]
    gpus: int | str
    driver: str = ""
    """Version of the GPU driver that runs."""
    driver_next: str = ""
    """Version that the next start loads, or a complaint."""
    parts: tuple[str, ...] = ()
    """MIG profiles of the GPUs' parts."""
    synchronized: str
    clock_off: float
    registry: str | None = None
    dns: str | None = None
    service: str | None = None
    pods: dict[str, str] = {}
    answers: dict[str, str] = {}
    image: str | None = None
    """What an edge host's program says of its images, as JSON."""
    from_: Annotated[str, Field(alias="from")]


class Host(Closed):
    """A host of the inventory: its report, or why there is none, and what it is meant to be."""

    name: str
    unreachable: str = ""
    report: Report | None = None
    node: bool = True
    """Whether it is one of the cluster."""
    gpus: int = 0
    """GPUs that its pool promises, or parts of them."""
    mig: str | None = None
    """Profile that its GPUs are divided by."""
    simulated: bool = False
    ready: str = ""
    """What the API server says: True, False, Unknown, or '' when it does not know the node."""
    allocatable: int = 0
    """GPUs that the scheduler sees."""


class Finding(Closed):
    """One question to one host."""

    host: str
    check: str
    state: State
    value: str
    rule: str
    remedy: str
