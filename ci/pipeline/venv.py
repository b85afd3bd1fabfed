"""Python environments made from a lock: once for each content, shared by every checkout."""

import fcntl
import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ci.report import Report
from ci.toolchain import network
from infra import places
from infra.refusal import Refusal


class VenvError(Exception):
    """The environment could not be made; the text says what was run and ends with what it said."""


def key(lock: Path) -> str:
    """Content key of an environment: its lock and the Python that runs it."""
    python = f"{sys.implementation.cache_tag} {sys.platform}"
    return hashlib.sha256(lock.read_bytes() + python.encode()).hexdigest()[:16]


def python(kind: str, lock: Path) -> Path:
    """Where the Python of an environment is, made or not."""
    return places.cache() / kind / key(lock) / "bin" / "python"


def ensure(kind: str, lock: Path, needed_gib: float, report: Report) -> Path:
    """Return the environment's Python, making the environment when it is absent.

    It is made beside its place and renamed into it at the end: a killed run leaves nothing that the
    next one trusts. One process makes it, others wait.
    """
    made = python(kind, lock)
    if made.exists():
        return made
    target = made.parent.parent
    root = target.parent
    root.mkdir(parents=True, exist_ok=True)
    with (root / f".{target.name}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if made.exists():
            return made
        for leftover in root.glob(f".partial-{target.name}-*"):
            shutil.rmtree(leftover)
        _check_disk(kind, root, needed_gib)
        partial = Path(tempfile.mkdtemp(prefix=f".partial-{target.name}-", dir=root))
        try:
            _install(kind, lock, partial, report)
            partial.rename(target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return made


def uv() -> str:
    """Path of uv, which `make setup` puts beside the tools' Python."""
    return str(Path(sys.executable).with_name("uv"))


def _check_disk(kind: str, root: Path, needed_gib: float) -> None:
    free = shutil.disk_usage(root).free / 2**30
    if free < needed_gib:
        raise Refusal(
            f"free disk at {root}",
            f"{free:.1f} GiB",
            f"the {kind} environment needs {needed_gib:g} GiB",
            "Free some, or set XDG_CACHE_HOME to a folder on a larger disk.",
        )


def _install(kind: str, lock: Path, partial: Path, report: Report) -> None:
    make = [uv(), "venv", "--quiet", "--python", sys.executable, str(partial), "--allow-existing"]
    fill = [uv(), "pip", "sync", "--require-hashes", "--python", str(partial), str(lock)]
    for number, command in enumerate((make, fill)):
        report(f"making the {kind} environment", number, 2)
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            network.check(f"wheels of the {kind} environment", done.stderr)
            raise VenvError(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    report(f"the {kind} environment is there", 2, 2)
