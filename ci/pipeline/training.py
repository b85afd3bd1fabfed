"""The training environment (torch, 5 GB): made once for each lock, shared by every checkout.

Models are trained and quantized there, in processes of their own, so that `yard` never loads torch.
"""

import json
import os
import subprocess
import tempfile
from collections import deque
from pathlib import Path
from threading import Thread

from ci.pipeline import venv
from ci.report import Report
from infra import places

LOCK = places.REPOSITORY / "requirements-training.lock"
NEEDED_GIB = 6
"""Disk that the environment takes, and a little air. uv's cache shares its bytes by hard links."""


class TrainingError(Exception):
    """Training failed; the text says what was run and ends with what it said."""


def key() -> str:
    """Content key of the environment."""
    return venv.key(LOCK)


def environment(report: Report) -> Path:
    """Return the Python of the training environment, making the environment when it is absent."""
    return venv.ensure("training", LOCK, NEEDED_GIB, report)


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
