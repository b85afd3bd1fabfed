"""The ports of an environment on 127.0.0.1: that nobody else has them, and that they lead on."""

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from docker.models.containers import Container

from ci.pipeline import engine
from ci.report import Report
from infra.environment import Environment
from infra.refusal import Refusal

LISTENING = "0A"
"""A socket's state in /proc/net/tcp."""


def require(env: Environment) -> None:
    """Refuse a port that is taken by anything but the environment's own containers."""
    own = _own(env)
    for name, port in env.published.model_dump().items():
        if port not in own and taken(port):
            raise Refusal(
                f"Pulumi.{env.name}.yaml: ports.{name}",
                port,
                f"{holder(port)} listens on it",
                "Stop that program, or set another port.",
            )


def _own(env: Environment) -> set[int]:
    with _running(env) as containers:
        return {port for container in containers for port in published(container)}


def taken(port: int) -> bool:
    """Whether somebody listens on the port of 127.0.0.1, or on that of all addresses."""
    with socket.socket() as probe:
        # Connections that have just ended do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return True
    return False


def holder(port: int, processes: Path = Path("/proc")) -> str:
    """Who listens on a port: name and number of the process, as far as this user may see."""
    sockets = {f"socket:[{inode}]" for inode in _listeners(port, processes)}
    for folder in processes.glob("[0-9]*"):
        try:
            if any(str(file.readlink()) in sockets for file in (folder / "fd").iterdir()):
                return f"{(folder / 'comm').read_text().strip()} (process {folder.name})"
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it ended meanwhile, or is another user's
    return "another program"


def _listeners(port: int, processes: Path) -> Iterator[str]:
    for family in ("tcp", "tcp6"):
        table = processes / "net" / family
        for line in table.read_text().splitlines()[1:] if table.is_file() else []:
            fields = line.split()
            if fields[3] == LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def published(container: Container) -> set[int]:
    """Ports of this machine that the engine should forward to a container."""
    bound = container.attrs["NetworkSettings"]["Ports"].values()
    return {int(binding["HostPort"]) for bindings in bound for binding in bindings or []}


def lost(container: Container) -> set[int]:
    """Ports whose forwarder is gone: it ends when it runs out of files, and nobody restarts it."""
    return {port for port in published(container) if not taken(port)}


def revive(env: Environment, report: Report) -> None:
    """Restart the environment's containers that lost a forwarder: only that brings it back."""
    with _running(env) as containers:
        for container in containers:
            if missing := lost(container):
                ports = ", ".join(map(str, sorted(missing)))
                report(f"restarting {container.name}: nobody forwards {ports} to it", 0, 0)
                container.restart(timeout=30)


@contextmanager
def _running(env: Environment) -> Iterator[list[Container]]:
    label: dict[str, str | list[str] | bool] = {"label": f"{engine.LABEL}={env.name}"}
    connection = engine.client()
    try:
        yield connection.containers.list(filters=label)
    finally:
        connection.close()
