"""Progress on a terminal as a live line, elsewhere as a plain line every ten seconds."""

import sys
import threading
import time
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from ci.report import STAYS, Report

QUIET_S = 10.0
"""Seconds between plain lines: a CI log stays readable and never looks stuck."""


class Progress:
    """Draws the steps of `ci.pipeline.steps`. Writes to stderr: stdout is for results."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._console = Console(file=self._stream, highlight=False)
        self._live_line: Live | None = None
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._started = time.monotonic()
        self._step, self._text, self._done, self._total = "", "", 0, 0
        self._step_started = self._phase_started = self._started
        self._phase_total, self._phase_done = 0, 0
        self._expected: float | None = None

    def __enter__(self) -> Self:
        if self._live:
            self._live_line = Live(console=self._console, transient=True, auto_refresh=False)
            self._live_line.start()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        if self._live_line:
            self._live_line.stop()

    def begin(self, step: str, expected: float | None) -> Report:
        """A step begins."""
        with self._lock:
            now = time.monotonic()
            self._step, self._text, self._done, self._total = step, "", 0, 0
            self._step_started = self._phase_started = now
            self._phase_total = self._phase_done = 0
            self._expected = expected
        if not self._live:
            self._print(self._line())
        return self._report

    def end(self, step: str, seconds: float, failed: bool) -> None:
        """The step is over: one line that stays."""
        with self._lock:
            self._step = ""
        if self._live_line:
            self._live_line.update("", refresh=True)
        self._print(f"{'failed' if failed else 'done':>8}  {step} ({span(seconds)})")

    def _report(self, text: str, done: int, total: int) -> None:
        if total == STAYS:
            self._print(f"{'':>8}  {text}")
            return
        with self._lock:
            if total != self._phase_total or done < self._phase_done:
                # Another count begins; its rate has nothing to do with the last one's.
                self._phase_started, self._phase_total = time.monotonic(), total
            self._phase_done = done
            self._text, self._done, self._total = text, done, total

    def _beat(self) -> None:
        while not self._stop.wait(0.2 if self._live else QUIET_S):
            with self._lock:
                busy = bool(self._step)
            if not busy:
                continue
            if self._live_line:
                line = Text(self._line(), no_wrap=True, overflow="ellipsis")
                self._live_line.update(line, refresh=True)
            else:
                self._print(self._line())

    def _line(self) -> str:
        with self._lock:
            now = time.monotonic()
            parts = [f"{span(now - self._started):>8}  {self._step}"]
            if self._text:
                parts.append(f": {self._text}")
            if self._total:
                parts.append(f" {self._done}/{self._total}")
            left = remaining(
                self._done, self._total, now - self._phase_started, now - self._step_started,
                self._expected,
            )  # fmt: skip
            if left is not None:
                parts.append(f", about {span(left)} left")
            return "".join(parts)

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, soft_wrap=True)
        self._stream.flush()


def remaining(
    done: int, total: int, phase_s: float, step_s: float, expected: float | None
) -> float | None:
    """Seconds left: by the rate of the present count, else by what the step took the last time."""
    if total and done and phase_s > 1:
        return phase_s / done * max(total - done, 0)
    if expected is not None and expected > step_s:
        return expected - step_s
    return None


def span(seconds: float) -> str:
    """Seconds as a person says them: 8 s, 3 min 20 s."""
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"
