"""Start the server of a row on a core of its own, and stop it."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from ci.bench import processes
from ci.bench.rows import Row
from ci.bench.stage import Stage
from infra import places

PATIENCE_S = 120
"""Longest wait for a server to be ready: BentoML takes two seconds on a quiet machine."""

OWN_PORTS = range(20_000, 30_000)
"""Below those that the kernel hands out: between our look and the server's, nobody gets one."""

STOP_S = 30


class ServeError(Exception):
    """A server did not come up; the text ends with what it said."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server that answers: the URL of its hot route, and its CPU seconds so far."""

    url: str
    cpu_seconds: Callable[[], float]
    leader: int


@contextlib.contextmanager
def serving(row: Row, stage: Stage) -> Iterator[Server]:
    """Run the server of a row; what it prints is kept for the error."""
    port = _free_port()
    base = f"http://127.0.0.1:{port}"
    log = stage.scratch / f"{row.name}.log"
    # setpriv: a server does not outlive a benchmark that was killed.
    command = ["setpriv", "--pdeathsig", "KILL", "taskset", "-c", stage.server_cores]
    command += _command(row, stage, port)
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command,
            cwd=stage.scratch,
            env=stage.environment(row),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
        )
    try:
        _wait(row, f"{base}/readyz", process, log)
        yield Server(
            url=f"{base}{stage.route}",
            cpu_seconds=processes.of_family(process.pid),
            leader=process.pid,
        )
    finally:
        _stop(process)


def _command(row: Row, stage: Stage, port: int) -> list[str]:
    python, address = str(stage.python), ["--host", "127.0.0.1", "--port", str(port)]
    target = row.target.format(kind=stage.kind)
    if row.kind == "asgi":
        uvicorn = [python, "-m", "uvicorn", target, *address, "--log-level", "warning"]
        factory = ["--factory"] if row.precision else []
        return [*uvicorn, *factory, "--loop", "uvloop", "--http", "httptools", "--no-access-log"]
    if row.kind == "bento":
        served = [target, "--working-dir", str(places.REPOSITORY)]
        return [python, "-m", "bentoml", "serve", *address, *served]
    return [python, *stage.entrypoint(port)]


def _wait(row: Row, url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    with httpx.Client(trust_env=False) as client:
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if client.get(url).status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass  # nobody listens yet
            time.sleep(0.1)
    said = log.read_text(errors="replace")[-3000:]
    how = "was not ready in time" if process.poll() is None else "ended"
    raise ServeError(f"{row.name} {how}:\n{said}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the server to end, then end what is left of it: a worker may outlive its supervisor."""
    begun = processes.family(process.pid)
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=STOP_S)
    for pid in begun:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def _free_port() -> int:
    """A port that nobody has, and that the kernel gives to nobody who does not name it."""
    while True:
        port = random.choice(OWN_PORTS)  # noqa: S311
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
