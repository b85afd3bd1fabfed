"""What a killed run left running: ended before the next one writes to the same environment.

SIGKILL reaches a process group, but Ansible's workers and Pulumi's plugins lead groups of their
own, and would go on with what they were at. Every program that a run starts inherits a variable
that names the environment's state, by which the next holder of the lock finds them. Its path and
not its name, because environments of one name may have their states in different places.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ci import procfs
from infra import places

VARIABLE = "MODELYARD_RUN"
PATIENCE_S = 10.0
"""Longest wait for the end of a killed process; only one that hangs in the kernel takes so long."""


class SurvivorError(Exception):
    """A process of a killed run does not end; the text names it."""


@contextmanager
def marked(environment: str) -> Iterator[None]:
    """Mark all that is started from here on as work on the environment."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = _mark(environment)
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before


def _mark(environment: str) -> str:
    return str(places.state(environment))


def unmarked() -> dict[str, str]:
    """Variables for a program that is to outlive the run, such as the container engine."""
    return {name: value for name, value in os.environ.items() if name != VARIABLE}


def find(environment: str, processes: Path = Path("/proc")) -> list[int]:
    """Processes that a run on the environment started; call it while none but this one runs."""
    wanted = f"{VARIABLE}={_mark(environment)}".encode()
    found = []
    for folder in processes.glob("[0-9]*"):
        try:
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it ended meanwhile, or is another user's
    # A yard that a marked program started is marked itself, as are those that wait for it.
    return sorted(set(found) - _lineage(os.getpid()))


def end(environment: str) -> list[int]:
    """End what a killed run left running, and wait until it is gone; returns the processes."""
    found = find(environment)
    for process in found:
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            continue
    deadline = time.monotonic() + PATIENCE_S
    while left := [process for process in found if procfs.lives(process)]:
        if time.monotonic() > deadline:
            raise SurvivorError(
                f"Of a killed run on {environment} these processes do not end: {left}. Look at"
                " them with `ps`, or restart the machine, and run this command again."
            )
        time.sleep(0.05)
    return found


def _lineage(process: int) -> set[int]:
    """The process and its ancestors."""
    found: set[int] = set()
    while process > 0 and process not in found:
        found.add(process)
        stat = procfs.stat(process)
        process = stat.parent if stat else 0
    return found
