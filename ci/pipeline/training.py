"""The training environment (torch, 5 GB): made once for each lock, shared by every checkout.

Models are trained and quantized there, in processes of their own, so that `yard` never loads torch.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from pathlib import Path
from threading import Thread

from ci.report import Report
from infra import places
from infra.refusal import Refusal

LOCK = places.REPOSITORY / "requirements-training.lock"
NEEDED_GIB = 6
"""Disk that the environment takes, and a little air. uv's cache shares its bytes by hard links."""


class TrainingError(Exception):
    """Training failed; the text says what was run and ends with what it said."""


def key() -> str:
    """Content key of the environment: its lock and the Python that runs it."""
    python = f"{sys.implementation.cache_tag} {sys.platform}"
    return hashlib.sha256(LOCK.read_bytes() + python.encode()).hexdigest()[:16]


def environment(report: Report) -> Path:
    """Return the Python of the training environment, making the environment when it is absent.

    It is made beside its place and renamed into it at the end: a killed run leaves nothing that the
    next one trusts. One process makes it, others wait.
    """
    root = places.cache() / "training"
    target = root / key()
    python = target / "bin" / "python"
    if python.exists():
        return python
    root.mkdir(parents=True, exist_ok=True)
    with (root / f".{target.name}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if python.exists():
            return python
        for leftover in root.glob(f".partial-{target.name}-*"):
            shutil.rmtree(leftover)
        _check_disk(root)
        partial = Path(tempfile.mkdtemp(prefix=f".partial-{target.name}-", dir=root))
        try:
            _install(partial, report)
            partial.rename(target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return python


def run(job: list[str], report: Report) -> None:
    """Run a job of services/models/make.py there, and pass its progress on."""
    python = environment(report)
    with tempfile.TemporaryDirectory(prefix="training-", dir=places.cache()) as scratch:
        clean = {
            "PATH": os.defpath,
            "HOME": scratch,
            "TMPDIR": scratch,
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(places.REPOSITORY),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONHASHSEED": "0",
            "ORT_DISABLE_TELEMETRY": "1",
        }
        command = [str(python), "-m", "services.models.make", *job]
        with subprocess.Popen(
            command,
            cwd=scratch,
            env=clean,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            said: deque[str] = deque(maxlen=40)
            listener = Thread(target=said.extend, args=(process.stderr,))
            listener.start()
            for line in process.stdout:
                text, done, total = json.loads(line)
                report(text, done, total)
            listener.join()
    if process.returncode:
        raise TrainingError(
            f"{' '.join(command)} failed with {process.returncode}:\n{''.join(said)[-3000:]}"
        )


def uv() -> str:
    """Path of uv, which `make setup` puts beside the tools' Python."""
    return str(Path(sys.executable).with_name("uv"))


def _check_disk(root: Path) -> None:
    free = shutil.disk_usage(root).free / 2**30
    if free < NEEDED_GIB:
        raise Refusal(
            f"free disk at {root}",
            f"{free:.1f} GiB",
            f"the training environment needs {NEEDED_GIB} GiB",
            "Free some, or set XDG_CACHE_HOME to a folder on a larger disk.",
        )


def _install(partial: Path, report: Report) -> None:
    steps = [
        ("making the training environment", [uv(), "venv", "--quiet", "--python", sys.executable]),
        ("installing torch and its company (5 GB)", [uv(), "pip", "sync", "--require-hashes"]),
    ]
    targets = [[str(partial), "--allow-existing"], ["--python", str(partial), str(LOCK)]]
    for number, ((text, command), target) in enumerate(zip(steps, targets, strict=True)):
        report(text, number, len(steps))
        done = subprocess.run([*command, *target], capture_output=True, text=True)
        if done.returncode:
            raise TrainingError(f"{' '.join([*command, *target])} failed:\n{done.stderr[-3000:]}")
    report("the training environment is there", len(steps), len(steps))
