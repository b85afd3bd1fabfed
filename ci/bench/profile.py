"""What bounds a row: py-spy's samples of its worker under load, counted by function."""

import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ci.bench import processes
from ci.bench.rows import Row
from ci.bench.serve import serving
from ci.bench.stage import Stage

CONCURRENCY = 32
RATE = 250
"""Samples a second."""


class ProfileError(Exception):
    """No profile came; the text ends with what py-spy said."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Share of all samples in which a function was on the stack (``whole``) and at its end."""

    function: str
    own: float
    whole: float


def profile(row: Row, stage: Stage, seconds: float) -> list[Cost]:
    """Sample the row's worker, idle time included; the costliest function first."""
    with serving(row, stage) as server, ThreadPoolExecutor(1) as threads:
        target = stage.target(server.url)
        stage.generator.closed(target, CONCURRENCY, 1)
        load = threads.submit(stage.generator.closed, target, CONCURRENCY, seconds + 3)
        found = stage.scratch / "samples.txt"
        command = [str(stage.python.with_name("py-spy")), "record", "--format", "raw", "--idle"]
        command += ["--pid", str(processes.busiest(server.leader)), "--rate", str(RATE)]
        command += ["--duration", f"{seconds:g}", "--output", str(found)]
        done = subprocess.run(command, capture_output=True, text=True)
        load.result()
    if done.returncode:
        raise ProfileError(f"py-spy failed: {done.stderr[-2000:]}")
    return costs(found.read_text())


def costs(samples: str) -> list[Cost]:
    """Count py-spy's raw lines, `OUTER;...;INNER COUNT`; only the thread that answers requests."""
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    for line in samples.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = [frame.rpartition(":")[0] or frame for frame in stack.split(";")]
        if not any("uvicorn" in frame or "asyncio" in frame for frame in frames):
            continue
        own[frames[-1]] += int(count)
        for frame in set(frames):
            whole[frame] += int(count)
    total = sum(own.values())
    found = [Cost(function=f, own=own[f] / total, whole=n / total) for f, n in whole.items()]
    return sorted(found, key=lambda cost: (-cost.own, -cost.whole))
