"""CPU time of a server: of its process and all below it, or of the pods that serve."""

import os
from collections.abc import Callable
from pathlib import Path

from ci import procfs
from ci.procfs import Stat

TICKS = os.sysconf("SC_CLK_TCK")


def of_family(leader: int) -> Callable[[], float]:
    """CPU seconds so far of a process and of all that are below it, whatever their session."""
    return lambda: _seconds(procfs.every(), family(leader))


def family(leader: int) -> set[int]:
    """A process and all that it began, and they."""
    parents = {pid: stat.parent for pid, stat in procfs.every().items()}
    found, grown = {leader}, True
    while grown:
        below = {pid for pid, parent in parents.items() if parent in found}
        grown = not below <= found
        found |= below
    return found


def busiest(leader: int) -> int:
    """The one of a family that used most CPU time: the worker that answers."""
    every = procfs.every()
    return max(family(leader) & every.keys(), key=lambda pid: every[pid].ticks)


def of_pods(uids: set[str]) -> Callable[[], float]:
    """CPU seconds so far of the processes in pods of this machine's node containers."""
    # systemd writes a pod's uid with underscores into the names of its slices
    names = {uid.replace("-", "_") for uid in uids} | uids

    def used() -> float:
        every = procfs.every()
        return _seconds(every, {pid for pid in every if _inside(pid, names)})

    return used


def _inside(pid: int, names: set[str]) -> bool:
    try:
        groups = Path(f"/proc/{pid}/cgroup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False  # it ended meanwhile
    return any(name in groups for name in names)


def _seconds(every: dict[int, Stat], of: set[int]) -> float:
    return sum(every[pid].ticks for pid in of & every.keys()) / TICKS
