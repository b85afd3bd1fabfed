"""What was measured, as it is kept, and the numbers that are told of it."""

import platform
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

CONCURRENCIES = (1, 8, 32)
"""Connections of the closed loops."""

SHARES = (50, 80)
"""Rates of the open loops: percent of the closed loop's at the highest concurrency."""


class Kept(BaseModel, extra="forbid", frozen=True):
    """A part of the document."""


class Figure(Kept):
    """One run. ``client`` is the share of a core that the load generator used."""

    requests: int
    failed: int
    rps: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    """CPU milliseconds of the server for each request."""
    client: float


class Measured(Kept):
    """One row once: closed loops by concurrency, open loops by percent of the highest one's rate.

    The raw loop has one closed figure, that of concurrency 1.
    """

    closed: dict[int, Figure]
    open: dict[int, Figure]


Round = dict[str, Measured]
"""By the row's name."""


class Machine(Kept):
    """Where it was measured."""

    processor: str
    cores: int
    kernel: str


class Verdict(Kept):
    """An aim, the figure in the middle of all rounds with the lowest and highest, and whether it
    is met."""

    aim: str
    sense: Literal["at least", "at most", "below"]
    bound: float
    figure: float
    lowest: float
    highest: float
    met: bool


class Results(Kept):
    """A whole benchmark."""

    model: str
    version: str
    command: str
    seconds: float
    machine: Machine
    rounds: list[Round]
    verdicts: list[Verdict]


@dataclass(frozen=True)
class Spread:
    """The middle of several numbers, and how far they lie apart."""

    middle: float
    lowest: float
    highest: float


def spread(values: list[float]) -> Spread:
    """Median, lowest and highest."""
    return Spread(statistics.median(values), min(values), max(values))


def machine() -> Machine:
    """This one."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return Machine(processor=names[0], cores=len(names), kernel=platform.release())
