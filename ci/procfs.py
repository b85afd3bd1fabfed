"""Processes of this machine, as /proc tells of them. Who has ended is no error, but None."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Stat:
    """A process's line of `stat`."""

    name: str
    fields: list[str]
    """What stands behind the name, which may hold spaces: state, parent, group, session..."""

    @property
    def state(self) -> str:
        """One letter: R runs, S sleeps, Z waits for its parent to notice its end."""
        return self.fields[0]

    @property
    def parent(self) -> int:
        """Process that began it, or took it over."""
        return int(self.fields[1])

    @property
    def ticks(self) -> int:
        """Clock ticks of the CPU, its own and those of its children that ended."""
        return sum(map(int, self.fields[11:15]))

    @property
    def born(self) -> int:
        """Start in clock ticks since boot: it tells a reused number apart."""
        return int(self.fields[19])


def stat(process: int) -> Stat | None:
    """What the kernel tells of a process, or None."""
    try:
        text = Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    before, _, after = text.rpartition(")")
    return Stat(name=before.partition("(")[2], fields=after.split())


def every() -> dict[int, Stat]:
    """All processes by number."""
    found = {int(path.name): stat(int(path.name)) for path in Path("/proc").glob("[0-9]*")}
    return {process: one for process, one in found.items() if one}


def command(process: int) -> str:
    """Its words, with a zero byte behind each; empty when it is gone."""
    try:
        return Path(f"/proc/{process}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def lives(process: int) -> bool:
    """Whether it still runs; one that only waits for its parent to notice does not."""
    found = stat(process)
    return found is not None and found.state not in "ZX"
