"""Load from vegeta, in a process on a core of its own.

Closed loop: N connections, each sends its next request when the answer to the last is there. Open
loop: requests are sent on a schedule whatever comes back, and a latency counts from the scheduled
time, so that a server that stops for a moment pays for all that should have come meanwhile.
"""

import csv
import io
import json
import resource
import statistics
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TIMEOUT = "10s"
SECOND = 1_000_000_000


class LoadError(Exception):
    """The load generator failed; the text says what it said."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """Requests that are sent in turn to one URL; ``headers`` may hold secrets."""

    url: str
    bodies: list[bytes]
    headers: dict[str, str]
    authority: Path | None = None

    def lines(self) -> bytes:
        """Vegeta's JSON format. It goes to standard input: secrets stay out of argument lists."""
        headers = {name: [value] for name, value in self.headers.items()}
        one = {"method": "POST", "url": self.url, "header": headers}
        bodies = (b64encode(body).decode() for body in self.bodies)
        # Each line ends: vegeta drops a last one that does not.
        return b"".join(json.dumps(one | {"body": body}).encode() + b"\n" for body in bodies)


@dataclass(frozen=True, kw_only=True)
class Load:
    """What came of one run. Milliseconds; ``client`` is the share of a core that vegeta used."""

    requests: int
    failed: int
    rps: float
    p50_ms: float
    p99_ms: float
    client: float


@dataclass(frozen=True, kw_only=True)
class Generator:
    """Vegeta on one core of this machine."""

    program: Path
    cores: str
    scratch: Path

    def closed(self, target: Target, concurrency: int, seconds: float) -> Load:
        """As fast as ``concurrency`` connections go."""
        answers, client = self._attack(target, ["-rate=0", *_workers(concurrency)], seconds)
        return _summary(answers, [one.latency for one in answers], client)

    def open(self, target: Target, rate: float, seconds: float) -> Load:
        """A constant rate, in requests a second, on as many connections as that takes."""
        frequency = max(1, round(rate))
        # Enough for a server that stalls for a second; vegeta starts more connections if needed.
        options = [f"-rate={frequency}/1s", "-workers=64", "-max-workers=2000"]
        answers, client = self._attack(target, options, seconds)
        return _summary(answers, scheduled(answers, SECOND // frequency), client)

    def _attack(
        self, target: Target, options: list[str], seconds: float
    ) -> tuple[list["Answer"], float]:
        found = self.scratch / "load.gob"
        command = ["taskset", "-c", self.cores, str(self.program), "attack", "-format=json"]
        command += [*options, f"-duration={seconds:g}s", f"-timeout={TIMEOUT}", "-http2=false"]
        command += ["-max-body=0", f"-output={found}"]
        if target.authority:
            command.append(f"-root-certs={target.authority}")
        before, started = _used(), time.monotonic()
        _run(command, target.lines())
        client = (_used() - before) / (time.monotonic() - started)
        listed = _run([str(self.program), "encode", "-to=csv", str(found)], b"")
        found.unlink()
        return answers(io.StringIO(listed.decode())), client


@dataclass(frozen=True, slots=True)
class Answer:
    """One request: its number, when it was sent, how long it took (nanoseconds), its status."""

    number: int
    sent: int
    latency: int
    status: int


def answers(lines: Iterable[str]) -> list[Answer]:
    """Read vegeta's CSV, in the order in which requests were sent."""
    rows = csv.reader(lines)
    found = [Answer(int(row[8]), int(row[0]), int(row[2]), int(row[1])) for row in rows]
    return sorted(found, key=lambda one: one.number)


def scheduled(answers: list[Answer], interval: int) -> list[int]:
    """Latencies in nanoseconds from the time at which each request should have been sent.

    The schedule begins so that no request was early: where one was exactly on time, as thousands
    are, that is the true beginning.
    """
    begin = min((one.sent - one.number * interval for one in answers), default=0)
    return [one.sent + one.latency - (begin + one.number * interval) for one in answers]


def _summary(answers: list[Answer], latencies: list[int], client: float) -> Load:
    if len(answers) < 2:
        raise LoadError(f"only {len(answers)} requests were sent; take a longer run")
    wall = max(one.sent + one.latency for one in answers) - answers[0].sent
    good = sum(one.status == 200 for one in answers)
    cuts = statistics.quantiles(latencies, n=100)
    return Load(
        requests=len(answers),
        failed=len(answers) - good,
        rps=good / wall * SECOND,
        p50_ms=cuts[49] / 1e6,
        p99_ms=cuts[98] / 1e6,
        client=client,
    )


def _workers(count: int) -> list[str]:
    return [f"-{name}={count}" for name in ("workers", "max-workers", "connections")]


def _used() -> float:
    used: Any = resource.getrusage(resource.RUSAGE_CHILDREN)
    return float(used.ru_utime + used.ru_stime)


def _run(command: list[str], given: bytes) -> bytes:
    done = subprocess.run(command, input=given, capture_output=True)
    if done.returncode:
        raise LoadError(f"{' '.join(command)} failed: {done.stderr.decode()[-2000:]}")
    return done.stdout
