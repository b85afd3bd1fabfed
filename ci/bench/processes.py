"""CPU time of a server: of its process and all below it, or of the pods that serve."""

import os
from collections.abc import Callable
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def of_family(leader: int) -> Callable[[], float]:
    """CPU seconds so far of a process and of all that are below it, whatever their session."""
    return lambda: _seconds(_all(), family(leader))


def family(leader: int) -> set[int]:
    """A process and all that it began, and they."""
    parents = {pid: int(fields[1]) for pid, fields in _all().items()}
    found, grown = {leader}, True
    while grown:
        below = {pid for pid, parent in parents.items() if parent in found}
        grown = not below <= found
        found |= below
    return found


def busiest(leader: int) -> int:
    """The one of a family that used most CPU time: the worker that answers."""
    every = _all()
    return max(family(leader) & every.keys(), key=lambda pid: int(every[pid][11]))


def of_pods(uids: set[str]) -> Callable[[], float]:
    """CPU seconds so far of the processes in pods of this machine's node containers."""
    # systemd writes a pod's uid with underscores into the names of its slices
    names = {uid.replace("-", "_") for uid in uids} | uids

    def used() -> float:
        every = _all()
        return _seconds(every, {pid for pid in every if _inside(pid, names)})

    return used


def _inside(pid: int, names: set[str]) -> bool:
    try:
        groups = Path(f"/proc/{pid}/cgroup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False  # it ended meanwhile
    return any(name in groups for name in names)


def _seconds(every: dict[int, list[str]], of: set[int]) -> float:
    # own time, and that of children which ended
    ticks = sum(int(part) for pid in of & every.keys() for part in every[pid][11:15])
    return ticks / TICKS


def _all() -> dict[int, list[str]]:
    """Each process's fields of `stat` after the name, which may hold spaces."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            found[int(path.name)] = (path / "stat").read_text().rpartition(") ")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
    return found
