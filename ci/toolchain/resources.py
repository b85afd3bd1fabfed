"""Disk and memory: what the work that is still to be done takes, and whether it is there."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from infra import places, refusal

GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What is free on this machine, in GiB."""

    disk_gib: float
    memory_gib: float


@dataclass(frozen=True, kw_only=True)
class Need:
    """What work takes at its worst moment, in GiB, and how long it is expected to take."""

    disk_gib: float
    memory_gib: float
    seconds: int = 0

    def words(self, free: Reading) -> str:
        """Needed and free in one line."""
        return (
            f"disk {self.disk_gib:.0f} GiB of {free.disk_gib:.0f} free, "
            f"memory {self.memory_gib:.0f} GiB of {free.memory_gib:.0f} free, "
            f"about {max(1, round(self.seconds / 60))} min"
        )


def read(folder: Path | None = None) -> Reading:
    """Free disk where the cache lies, and memory that can be had without swapping."""
    place = folder or places.cache()
    while not place.exists():
        place = place.parent
    return Reading(disk_gib=shutil.disk_usage(place).free / GIB, memory_gib=memory() / GIB)


def check(need: Need, free: Reading) -> None:
    """Refuse, before any work, when less is free than the work needs."""
    if free.disk_gib < need.disk_gib:
        raise refusal.Refusal(
            f"free disk at {places.cache()}",
            f"{free.disk_gib:.1f} GiB",
            f"{need.disk_gib:.1f} GiB are needed for what is not yet built",
            "Free some, or set XDG_CACHE_HOME to a folder on a larger disk.",
        )
    if free.memory_gib < need.memory_gib:
        raise refusal.Refusal(
            "free memory",
            f"{free.memory_gib:.1f} GiB",
            f"{need.memory_gib:.1f} GiB are needed for what is not yet built",
            "Stop what you can spare, or use a machine with more memory.",
        )


def memory(meminfo: Path = Path("/proc/meminfo"), cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """MemAvailable in bytes, or what the cgroup leaves when that is less."""
    pairs = (line.split(":") for line in meminfo.read_text().splitlines())
    free = int(dict(pairs)["MemAvailable"].split()[0]) * 1024
    for limit, usage in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            allowed = (cgroup / limit).read_text().strip()
            used = int((cgroup / usage).read_text())
        except FileNotFoundError:
            continue
        if allowed != "max":
            free = min(free, int(allowed) - used)
    return max(free, 0)
