"""Predictions at a steady rate through the gateway, each with what became of it."""

import itertools
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import httpx

from tests.system.house import House

PREDICT = "/digits/v1/predict"
PATIENCE_S = 35.0
"""Longest wait for one answer: a little more than the gateway's own."""

CONNECT_S = 10.0
"""How long a caller tries to connect. Nothing was asked yet, so nothing was lost."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one prediction."""

    due: float
    """Seconds since the load began."""
    seconds: float
    fault: str = ""
    """Empty for a good prediction."""


@dataclass
class Load:
    """``rate`` predictions a second over ``callers`` connections that are kept open.

    Each is due at its own time. A caller whose connection is refused connects again, as HTTP
    clients do; a request that was sent is never sent twice.
    """

    house: House
    body: dict[str, Any]
    rate: float = 30.0
    callers: int = 6
    outcomes: list[Outcome] = field(default_factory=list)
    refused: int = 0
    """Attempts to connect that failed."""

    def __enter__(self) -> Self:
        self._stop = threading.Event()
        self._turns = itertools.count()
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._threads = [threading.Thread(target=self._call) for _ in range(self.callers)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def now(self) -> float:
        """Seconds since the load began."""
        return time.monotonic() - self._began

    def good(self, since: float = 0.0) -> int:
        """Good predictions that were due after a moment."""
        return sum(not one.fault and one.due >= since for one in list(self.outcomes))

    @property
    def failed(self) -> list[Outcome]:
        """Predictions that were asked for and did not come."""
        return [one for one in list(self.outcomes) if one.fault]

    def summary(self, killed: float) -> str:
        """What it cost in one line: failures by kind, and how long good answers stayed away."""
        times = sorted(one.due + one.seconds for one in self.outcomes if not one.fault)
        after = [killed, *(moment for moment in times if moment > killed)]
        gap = max((late - early for early, late in itertools.pairwise(after)), default=0.0)
        kinds = dict(Counter(one.fault.split(":")[0][:60] for one in self.failed))
        slowest = max((one.seconds for one in self.outcomes if one.due >= killed), default=0.0)
        return (
            f"{len(self.failed)} of {len(self.outcomes)} failed {kinds or ''}, "
            f"{self.refused} connections refused, longest without an answer {gap:.1f} s, "
            f"slowest {slowest:.1f} s"
        )

    def _call(self) -> None:
        with self.house.gateway() as gateway:
            while not self._stop.is_set():
                due = next(self._turns) / self.rate
                if self._stop.wait(max(0.0, due - self.now)):
                    return
                started = self.now
                fault = self._ask(gateway)
                outcome = Outcome(due=due, seconds=self.now - started, fault=fault)
                with self._lock:
                    self.outcomes.append(outcome)

    def _ask(self, gateway: httpx.Client) -> str:
        end = self.now + CONNECT_S
        while True:
            try:
                answer = gateway.post(PREDICT, json=self.body, timeout=PATIENCE_S)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                with self._lock:
                    self.refused += 1
                if self.now > end or self._stop.wait(0.2):
                    return f"no connection: {error}"
            except httpx.TransportError as error:
                return f"{type(error).__name__}: {error}"
            else:
                return "" if answer.status_code == 200 else f"{answer.status_code}: {answer.text}"
