"""CPU time of a server: of all processes of its session, or of the pods that serve."""

import os
from collections.abc import Callable
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def of_session(leader: int) -> Callable[[], float]:
    """CPU seconds so far of the processes whose session ``leader`` began."""
    return lambda: _seconds(lambda fields, _: int(fields[3]) == leader)


def of_pods(uids: set[str]) -> Callable[[], float]:
    """CPU seconds so far of the processes in pods of this machine's node containers."""
    # systemd writes a pod's uid with underscores into the names of its slices
    names = {uid.replace("-", "_") for uid in uids} | uids

    def inside(_: list[str], process: Path) -> bool:
        groups = (process / "cgroup").read_text()
        return any(name in groups for name in names)

    return lambda: _seconds(inside)


def busiest(leader: int) -> int:
    """The process of a session that used most CPU time: the worker that answers."""
    found = {int(path.name): fields for path, fields in _all() if int(fields[3]) == leader}
    return max(found, key=lambda pid: int(found[pid][11]))


def _seconds(counts: Callable[[list[str], Path], bool]) -> float:
    total = 0
    for path, fields in _all():
        try:
            if counts(fields, path):
                total += sum(int(ticks) for ticks in fields[11:15])  # own, and of ended children
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total / TICKS


def _all() -> list[tuple[Path, list[str]]]:
    """Each process with the fields of its `stat` after the name, which may hold spaces."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            found.append((path, (path / "stat").read_text().rpartition(") ")[2].split()))
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
    return found
