"""The container engine: found when one answers, else installed and started as root on Debian.

The engine belongs to the machine, not to an environment, so the record of what was started stands
in /run, which every checkout and every state folder shares and a restart of the machine empties.
An engine that somebody else runs is used and never stopped.
"""

import contextlib
import fcntl
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
from docker.errors import DockerException

from ci import procfs
from ci.pipeline import survivors
from ci.report import Report
from ci.toolchain import debian
from infra.refusal import Refusal

LABEL = "modelyard.environment"
PACKAGES = ["docker.io", "iptables"]
SOCKET = "unix:///var/run/docker.sock"
RECORD = Path("/run/modelyard/engine.json")
LOG = Path("/var/log/modelyard-dockerd.log")
# Files that a killed daemon leaves: it refuses to start when another process has taken the number.
PID_FILES = {
    Path("/var/run/docker.pid"): "dockerd",
    Path("/var/run/docker/containerd/containerd.pid"): "containerd",
}
# What a stopped daemon leaves: network namespaces that nothing is in, its folder mounted on itself.
LEFT_MOUNTS = (Path("/run/docker"), Path("/var/lib/docker"))
BRIDGE = "docker0"
PATIENCE_S = 90
"""Longest wait for a started daemon: it first ends containers that a crash left half dead."""

STOP_S = 60
"""Longest wait for the daemon's end: it stops its containers first."""

_started: list[subprocess.Popen[bytes]] = []

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class EngineError(Exception):
    """The engine could not be started or stopped; the text says what to do."""


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A container engine that answers."""

    version: str
    started_by_us: bool


def ensure(report: Report) -> Engine:
    """Return an engine that answers, installing and starting Debian's docker.io when none does.

    Raises Refusal where that cannot be done (not root, not Debian or Ubuntu, DOCKER_HOST points
    elsewhere), EngineError when the daemon does not come up.
    """
    if (version := answers()) is not None:
        return Engine(version=version, started_by_us=_ours() is not None)
    _may_start()
    with _alone():
        # Another environment's command may have started it while this one waited.
        if (version := answers()) is None:
            if not shutil.which("dockerd", path=PATH):
                report("no container engine answers: installing docker.io", 0, 0)
                debian.require(report, PACKAGES)
            report("no container engine answers: starting dockerd", 0, 0)
            version = _start()
    return Engine(version=version, started_by_us=_ours() is not None)


def client() -> docker.DockerClient:
    """A connection to the engine; Refusal when none answers."""
    if answers() is None:
        raise Refusal(
            "container engine",
            _address(),
            "it does not answer",
            "Run `yard up`, which starts one, or start your own.",
        )
    return _connection()


def answers() -> str | None:
    """The engine's version, or None when none answers; Refusal when this user may not ask."""
    if not _listens(_address()):
        return None
    try:
        connection = _connection()
    except DockerException:
        return None
    try:
        return str(connection.version()["Version"])
    except (DockerException, OSError):
        return None
    finally:
        connection.close()


def _address() -> str:
    return os.environ.get("DOCKER_HOST") or SOCKET


def _connection() -> docker.DockerClient:
    environment = dict(os.environ) | {"DOCKER_HOST": _address()}
    # A volume with a hundred thousand files takes a busy disk more than a minute to remove.
    return docker.from_env(timeout=300, environment=environment)


def _listens(address: str) -> bool:
    """Whether somebody listens; the library would leave a socket open where nobody does."""
    if not address.startswith("unix://"):
        return True
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(10)
        try:
            probe.connect(address.removeprefix("unix://"))
        except PermissionError:
            raise Refusal(
                "container engine",
                os.environ.get("USER", str(os.geteuid())),
                f"this user may not use {address}",
                "Run as root, or add the user to the group docker and log in again.",
            ) from None
        except OSError:
            return False
    return True


def stop_if_ours() -> bool:
    """Stop the engine when `ensure` started it and nothing needs it any more; says whether it did.

    It is needed while any environment has a container, while any container at all runs, and while a
    command keeps it.
    """
    pid = _ours()
    if pid is None or answers() is None:
        return False
    with _alone(), contextlib.ExitStack() as unless_kept:
        try:
            unless_kept.enter_context(_locked(".kept", fcntl.LOCK_EX | fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        connection = client()
        try:
            needed = connection.containers.list(all=True, filters={"label": LABEL})
            if needed or connection.containers.list():
                return False
        finally:
            connection.close()
        _stop(pid)
    return True


@contextmanager
def kept() -> Iterator[None]:
    """Nobody stops the engine meanwhile: it looks unused until the first container is there.

    Only root's commands start and stop one.
    """
    if os.geteuid() != 0:
        yield
        return
    with _locked(".kept", fcntl.LOCK_SH):
        yield


def _alone() -> AbstractContextManager[None]:
    """One command at a time starts or stops the engine."""
    return _locked(".lock", fcntl.LOCK_EX)


@contextmanager
def _locked(suffix: str, how: int) -> Iterator[None]:
    RECORD.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    path = RECORD.with_suffix(suffix)
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


def _may_start() -> None:
    if host := os.environ.get("DOCKER_HOST"):
        raise Refusal(
            "DOCKER_HOST",
            host,
            "no container engine answers there",
            "Start that engine, or unset DOCKER_HOST so that one is started here.",
        )
    if os.geteuid() != 0:
        raise Refusal(
            "container engine",
            None,
            "none answers, and only root can install and start one",
            "Start Docker, or run this command as root once.",
        )


def _start() -> str:
    if Path("/run/systemd/system").is_dir():
        _run(["systemctl", "start", "docker.service"])
        version = _wait(lambda: None)
        _record(int(Path("/var/run/docker.pid").read_text()))
        return version
    for path, name in PID_FILES.items():
        remove_stale_pid_file(path, name)
    LOG.parent.mkdir(parents=True, exist_ok=True)
    with LOG.open("ab") as log:
        # A session of its own: the daemon outlives this command and its terminal.
        process = subprocess.Popen(
            ["dockerd"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=survivors.unmarked() | {"PATH": PATH},
        )
    _let_open_many_files(process.pid)
    # Kept: Python complains of a child that runs on when nothing refers to it any more.
    _started.append(process)
    _record(process.pid)
    return _wait(process.poll)


def _let_open_many_files(pid: int) -> None:
    """As many as systemd lets the daemon open: it needs six for each connection to a port.

    Where root may not raise the limit it stays; docs/faults.md says how far that goes.
    """
    most = int(Path("/proc/sys/fs/nr_open").read_text())
    with contextlib.suppress(PermissionError, ValueError):
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, most))


def remove_stale_pid_file(path: Path, name: str) -> bool:
    """Remove a pid file whose process is gone or is another program; says whether it did."""
    try:
        pid = int(path.read_text())
    except (FileNotFoundError, ValueError):
        path.unlink(missing_ok=True)
        return False
    if _program(pid) == name:
        return False
    path.unlink(missing_ok=True)
    return True


def _wait(ended: Callable[[], int | None]) -> str:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if (version := answers()) is not None:
            return version
        if (code := ended()) is not None:
            RECORD.unlink(missing_ok=True)
            raise EngineError(f"dockerd ended with {code} at once. {_log_tail()}")
        time.sleep(0.3)
    raise EngineError(f"dockerd did not answer in {PATIENCE_S} s. {_log_tail()}")


def _log_tail() -> str:
    lines = LOG.read_text(errors="replace").splitlines()[-15:] if LOG.exists() else []
    return f"Its log {LOG} ends with:\n" + "\n".join(lines)


def _stop(pid: int) -> None:
    if Path("/run/systemd/system").is_dir():
        _run(["systemctl", "stop", "docker.socket", "docker.service"])
    else:
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_S
        while _program(pid) == "dockerd":
            if time.monotonic() > deadline:
                raise EngineError(
                    f"dockerd (process {pid}) did not end in {STOP_S} s. {_log_tail()}"
                )
            time.sleep(0.2)
        for folder in LEFT_MOUNTS:
            _unmount_below(folder)
        # The bridge of a daemon that is gone is of no use to anybody.
        if (Path("/sys/class/net") / BRIDGE).exists():
            _run(["ip", "link", "delete", BRIDGE])
    RECORD.unlink(missing_ok=True)


def _unmount_below(folder: Path) -> None:
    mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for point in reversed(mounted):
        if Path(point).is_relative_to(folder):
            _unmount(point)


def _unmount(point: str) -> None:
    """Unmount, as soon as what dockerd started has let it go: its containerd ends after it."""
    deadline = time.monotonic() + STOP_S
    while True:
        try:
            return _run(["umount", point])
        except EngineError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.2)


def _record(pid: int) -> None:
    if stat := procfs.stat(pid):
        RECORD.write_text(json.dumps({"pid": pid, "born": stat.born}) + "\n")


def _ours() -> int | None:
    """The daemon's process when `ensure` started it and it is still that very process."""
    try:
        record = json.loads(RECORD.read_text())
    except (FileNotFoundError, ValueError):
        return None
    pid = int(record["pid"])
    stat = procfs.stat(pid)
    same = stat and stat.name == "dockerd" and stat.state != "Z" and stat.born == record["born"]
    return pid if same else None


def _program(pid: int) -> str | None:
    """Name of a living process; a zombie counts as gone."""
    stat = procfs.stat(pid)
    return stat.name if stat and stat.state != "Z" else None


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PATH": PATH})
    if done.returncode:
        raise EngineError(f"{' '.join(command)} failed: {done.stderr.strip()}. {_log_tail()}")
