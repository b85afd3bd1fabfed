"""Measure rows: several rounds, each over all rows, so that a slow minute hits all of them."""

import json
import ssl
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial

import httpx

from ci.bench.load import Load, Target
from ci.bench.results import CONCURRENCIES, SHARES, Figure, Measured, Round
from ci.bench.rows import Row
from ci.bench.serve import Server, serving
from ci.bench.stage import Stage
from ci.report import Report


class MeasureError(Exception):
    """A row answers something else than it should; the text says what."""


def rounds(
    rows: list[Row], stage: Stage, *, number: int, seconds: float, report: Report
) -> Iterator[Round]:
    """Measure all rows ``number`` times; each round begins with another row."""
    done, total = 0, number * len(rows)
    for at in range(number):
        found: Round = {}
        first = at % len(rows)
        for row in [*rows[first:], *rows[:first]]:
            report(f"round {at + 1}: {row.name}", done, total)
            found[row.name] = measure(row, stage, seconds)
            done += 1
        yield found


def measure(row: Row, stage: Stage, seconds: float) -> Measured:
    """One row once."""
    if row.kind == "loop":
        return Measured(closed={1: _loop(row, stage, seconds)}, open={})
    with serving(row, stage) as server:
        return loads(server, stage.target(server.url), stage, seconds)


def loads(server: Server, target: Target, stage: Stage, seconds: float) -> Measured:
    """All closed and open loops against a server that answers."""
    _check(target)
    send = stage.generator
    # Connections, caches, and BentoML's batching, which learns from its first batches.
    send.closed(target, 8, max(1.0, seconds / 2))
    closed = {
        count: _measured(server, partial(send.closed, target, count, seconds))
        for count in CONCURRENCIES
    }
    top = closed[CONCURRENCIES[-1]].rps
    opened = {
        share: _measured(server, partial(send.open, target, top * share / 100, seconds))
        for share in SHARES
    }
    return Measured(closed=closed, open=opened)


def _measured(server: Server, run: Callable[[], Load]) -> Figure:
    before = server.cpu_seconds()
    load = run()
    used = server.cpu_seconds() - before
    return Figure(**asdict(load), cpu_ms=used / load.requests * 1000)


def _loop(row: Row, stage: Stage, seconds: float) -> Figure:
    bodies = stage.scratch / "bodies.json"
    bodies.write_text(json.dumps([json.loads(body) for body in stage.bodies]))
    command = ["taskset", "-c", stage.server_cores, str(stage.python), "-m", "ci.bench.peers.loop"]
    done = subprocess.run(
        [*command, str(bodies), f"{seconds:g}"],
        env=stage.environment(row),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise MeasureError(f"the loop of {row.name} failed:\n{done.stderr[-3000:]}")
    return Figure(**json.loads(done.stdout.splitlines()[-1]), failed=0, client=0)


def _check(target: Target) -> None:
    """Every request is answered before any is timed."""
    trust = ssl.create_default_context(cafile=target.authority) if target.authority else True
    with httpx.Client(trust_env=False, verify=trust, headers=target.headers) as client:
        for body in target.bodies:
            response = client.post(target.url, content=body)
            if response.status_code != httpx.codes.OK:
                raise MeasureError(f"{target.url}: {response.status_code} {response.text[:500]}")
