"""The table of GPU drivers: which goes with a host's GPUs, kernel, system and Kubernetes.

    row = choose(load(), Asked(driver="535.309.01", modules="proprietary", ...))
    parts = divided(load(), ["2330"], "1g.10gb")   # 7

Whatever is not in the table is refused.
"""

from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from infra import places, refusal
from infra.foundation import tables
from infra.hosts.known_good import within
from infra.names import Closed
from infra.refusal import Refusal

PATH = places.REPOSITORY / "ansible" / "gpu-drivers.yml"
NAME = "ansible/gpu-drivers.yml"

DeviceId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{4}$")]
Month = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}$")]
Names = Annotated[tuple[str, ...], Field(min_length=1)]
Modules = Literal["open", "proprietary"]


class Device(Closed):
    """A kind of GPU; ``mig`` names its profiles in infra/foundation/tables/gpus.yaml."""

    name: str
    mig: str | None = None


class Devices(Closed):
    """GPUs by PCI device ID."""

    source: str
    date: str
    known: dict[DeviceId, Device]


class Packages(Closed):
    """What apt installs: packages of one version (apt's pattern), and others beside them."""

    module: str
    """Name of the kernel module's file; Debian renames it."""
    version: str
    pinned: Names
    beside: tuple[str, ...] = ()


class Driver(Closed):
    """A driver and what it goes with; kernels and Kubernetes are prefixes of versions."""

    driver: str
    branch: str
    until: Month
    """Last month in which the branch gets fixes."""
    modules: Modules
    systems: Names
    kernels: Names
    kubernetes: Names
    gpus: Names
    packages: Packages
    source: str
    date: str
    seen: str
    """Who ran it, and how far."""


class Drivers(Closed):
    """ansible/gpu-drivers.yml."""

    devices: Devices
    drivers: Annotated[tuple[Driver, ...], Field(min_length=1)]


class Asked(Closed):
    """What a host is and what it is meant to get; ``kubernetes`` is '' where it is no node."""

    driver: str
    modules: str
    system: str
    kernel: str
    kubernetes: str
    devices: tuple[str, ...]


def load(path: Path = PATH) -> Drivers:
    """The table of this checkout, or another."""
    return refusal.read(path, Drivers)


def choose(table: Drivers, asked: Asked) -> Driver:
    """The row for a host; Refusal says which part of the combination is not in the table."""
    names = _names(table, asked.devices)
    rows = [row for row in table.drivers if row.driver == asked.driver]
    if not rows:
        known = sorted({row.driver for row in table.drivers})
        raise _refused("nvidia_driver_version", asked.driver, "driver", known)
    steps: list[tuple[str, str, Callable[[Driver], Iterable[str]], bool]] = [
        ("nvidia_driver_modules", asked.modules, lambda row: [row.modules], False),
        ("system", asked.system, lambda row: row.systems, False),
        ("kernel", asked.kernel, lambda row: row.kernels, True),
        *(("GPU", name, lambda row: row.gpus, False) for name in names),
    ]
    if asked.kubernetes:
        steps.append(("kubernetes_version", asked.kubernetes, lambda row: row.kubernetes, True))
    for key, value, listed, prefix in steps:
        fitting = [row for row in rows if _in(value, listed(row), prefix)]
        if not fitting:
            known = sorted({one for row in rows for one in listed(row)})
            raise _refused(key, value, f"driver {asked.driver}", known)
        rows = fitting
    return rows[0]


def divided(table: Drivers, devices: Iterable[str], profile: str) -> int:
    """Parts that one GPU yields by a MIG profile; Refusal where GPUs differ or do not know it."""
    kinds = {device: table.devices.known.get(device) for device in devices}
    rows = {kind.mig if kind else None for kind in kinds.values()}
    profiles = tables.gpus().mig.get(next(iter(rows)) or "", {}) if len(rows) == 1 else {}
    if profile not in profiles:
        known = ", ".join(profiles) or "none that all of them share"
        names = ", ".join(sorted(kind.name if kind else key for key, kind in kinds.items()))
        raise Refusal(
            "nvidia_mig_profile",
            profile,
            f"the host's GPUs ({names or 'none'}) have the profiles {known}",
            "Choose one of these, or set the pool's mig to none.",
        )
    return profiles[profile]


def row_of(table: Drivers, version: str) -> Driver | None:
    """A row of a driver that runs somewhere; None when the table does not know it."""
    return next((row for row in table.drivers if row.driver == version), None)


def ended(row: Driver, today: date) -> bool:
    """Whether the branch gets no fixes any more."""
    return today.strftime("%Y-%m") > row.until


def _names(table: Drivers, devices: Iterable[str]) -> list[str]:
    found = sorted(set(devices))
    if not found:
        rule = "no NVIDIA GPU is on its PCI bus"
        raise Refusal(
            "GPU", None, rule, "Take the host out of the group gpu, or look at its slots."
        )
    for device in found:
        if device not in table.devices.known:
            raise _refused("GPU", f"PCI device 10de:{device}", "devices", table.devices.known)
    return sorted({table.devices.known[device].name for device in found})


def _in(value: str, listed: Iterable[str], prefix: bool) -> bool:
    return any(within(value, one) if prefix else value == one for one in listed)


def _refused(key: str, value: str, what: str, known: Iterable[str]) -> Refusal:
    return Refusal(
        key,
        value,
        f"{NAME} lists {what} with {', '.join(known)} only",
        "Take a combination that is listed, or try it on one host and add a row with its source.",
    )
