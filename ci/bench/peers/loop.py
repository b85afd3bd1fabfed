"""The raw loop: ONNX Runtime alone, one item a call, one thread. Prints its figures as JSON.

What a server in front of the model can at most reach. The graph is fed what our own service feeds
it for the same requests.
"""

import argparse
import json
import statistics
import time
from itertools import cycle
from pathlib import Path
from typing import Any

from ci.bench.peers import subject
from services.serving import artifact, graph

WARM_S = 0.5


class Tap:
    """A session that remembers its calls."""

    def __init__(self, path: Path) -> None:
        self.session = open_session(path)
        self.calls: list[tuple[list[str], dict[str, Any]]] = []

    def run(self, outputs: list[str], inputs: dict[str, Any]) -> Any:
        """Run the graph."""
        self.calls.append((outputs, inputs))
        return self.session.run(outputs, inputs)


open_session = graph.session


def calls(bodies: list[bytes]) -> tuple[Any, list[Any]]:
    """The graph's `run`, and what the service calls it with for each request."""
    taps: list[Tap] = []

    def tap(path: Path) -> Any:
        taps.append(Tap(path))
        return taps[-1]

    graph.session = tap
    model = subject.model()
    session = model.open(artifact.load(model.name))
    (one,) = taps
    one.calls.clear()
    for body in bodies:
        session.run(model.read(body))
    return one.session.run, one.calls


def measure(bodies: list[bytes], seconds: float) -> dict[str, float]:
    """Requests a second, p50 and p99 in milliseconds, and CPU milliseconds of one request."""
    run, wanted = calls(bodies)
    turns = cycle(wanted)
    _loop(run, turns, WARM_S)
    cpu, started = time.process_time(), time.perf_counter()
    taken = _loop(run, turns, seconds)
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    cuts = statistics.quantiles(taken, n=100)
    return {
        "requests": len(taken),
        "rps": len(taken) / wall,
        "p50_ms": cuts[49] * 1000,
        "p99_ms": cuts[98] * 1000,
        "cpu_ms": cpu / len(taken) * 1000,
    }


def _loop(run: Any, turns: Any, seconds: float) -> list[float]:
    taken, now = [], time.perf_counter()
    end = now + seconds
    while now < end:
        outputs, inputs = next(turns)
        run(outputs, inputs)
        before, now = now, time.perf_counter()
        taken.append(now - before)
    return taken


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bodies", type=Path, help="JSON list of requests")
    parser.add_argument("seconds", type=float)
    given = parser.parse_args()
    requests = [json.dumps(one).encode() for one in json.loads(given.bodies.read_text())]
    print(json.dumps(measure(requests, given.seconds)))
