"""Named steps of a long command: what runs now, how long it took, what it will take.

Steps know nothing of terminals: `ci.yard.progress` listens and draws.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from ci.report import Report


class Listener(Protocol):
    """Told when a step begins and ends; what it returns is told the progress in between."""

    def begin(self, step: str, expected: float | None) -> Report:
        """A step begins; ``expected`` seconds is what it took the last time, if known."""

    def end(self, step: str, seconds: float, failed: bool) -> None:
        """The step is over."""


class Steps:
    """Runs steps one after the other and remembers their seconds in a file."""

    def __init__(self, listener: Listener, memory: Path | None = None) -> None:
        self.seconds: dict[str, float] = {}
        self._listener = listener
        self._memory = memory
        self._before: dict[str, float] = recall(memory) if memory else {}

    @contextmanager
    def step(self, name: str) -> Iterator[Report]:
        """Time what runs inside, and hand it the Report to speak through."""
        started = time.monotonic()
        failed = True
        try:
            yield self._listener.begin(name, self._before.get(name))
            failed = False
        finally:
            seconds = time.monotonic() - started
            self.seconds[name] = round(seconds, 1)
            self._listener.end(name, seconds, failed)

    def remember(self) -> None:
        """Write the seconds of this run for the next one's estimate."""
        if self._memory is None:
            return
        self._memory.parent.mkdir(parents=True, exist_ok=True)
        self._memory.write_text(json.dumps(self._before | self.seconds, indent=1) + "\n")


def recall(memory: Path) -> dict[str, float]:
    """Seconds by step of earlier runs; nothing when the file is absent or damaged."""
    try:
        found = json.loads(memory.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
