"""The table that hosts are compared with: versions that ran together, and limits."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from infra import places, refusal
from infra.names import Closed

PATH = places.REPOSITORY / "ansible" / "known-good.yml"


def within(version: str, prefix: str) -> bool:
    """Whether a prefix of the table means the version: 1.36 means 1.36.3, and not 1.360."""
    return version == prefix or version.startswith(f"{prefix}.")


class Limit(Closed):
    """Below, or for clocks above, which a measure is no longer well."""

    degraded: float
    broken: float


class Limits(Closed):
    """By measure; units stand in the names."""

    certificate_days: Limit
    disk_free_gib: Limit
    inodes_free_percent: Limit
    clock_seconds: Limit


class Known(Closed):
    """Versions that ran together; numbers are prefixes, so 1.36 is any 1.36.x."""

    kubernetes: str
    containerd: Annotated[tuple[str, ...], Field(min_length=1)]
    systems: Annotated[tuple[str, ...], Field(min_length=1)]


class KnownGood(Closed):
    """ansible/known-good.yml."""

    versions: Annotated[tuple[Known, ...], Field(min_length=1)]
    limits: Limits


def load(path: Path = PATH) -> KnownGood:
    """The table of this checkout, or another."""
    return refusal.read(path, KnownGood)
