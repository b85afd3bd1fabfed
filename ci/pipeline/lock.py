"""One environment belongs to one checkout, and one command at a time writes to it.

The lock file is a flock that lasts as long as the command;
``owner.json`` lasts until ``yard down``.
"""

import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ValidationError

from ci.pipeline import survivors
from infra import places
from infra.refusal import Refusal

ACT_FOR = "MODELYARD_ACT_FOR"
"""Variable by which another checkout acts for the owner: it must name the owner's path.
Ownership stays where it is. The tests use it to ship from a temporary clone."""


class Owner(BaseModel, extra="forbid", frozen=True):
    """Who works, or last worked, on an environment."""

    checkout: Path
    pid: int
    started: str
    """UTC, ISO 8601."""

    @property
    def exists(self) -> bool:
        """Whether that checkout is still there; CI deletes its clones without a goodbye."""
        return (self.checkout / "Pulumi.yaml").is_file()


def owner(environment: str) -> Owner | None:
    """The environment's owner, or None when it is free."""
    try:
        return Owner.model_validate(json.loads(_owner_file(environment).read_text()))
    except (FileNotFoundError, ValueError, ValidationError):
        return None


@contextmanager
def hold(
    environment: str, checkout: Path = places.REPOSITORY, *, take: bool = False
) -> Iterator[None]:
    """Be the only one to write to the environment; refuses with the owner's path and pid.

    Takes the environment over when the checkout that owned it no longer exists, or with ``take``.
    Nobody takes it from a command that still works on it. What a killed run left running is ended
    first.
    """
    folder = places.state(environment)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = _acquire(environment)
    try:
        found = owner(environment)
        if found and str(found.checkout) == os.environ.get(ACT_FOR):
            checkout = found.checkout
        if found and found.checkout != checkout and found.exists and not take:
            raise Refusal(
                f"environment {environment}: owner",
                str(found.checkout),
                f"it belongs to that checkout since {found.started}, not to {checkout}",
                f"Work there, or take all of it away: `.venv/bin/yard down {environment} --take`.",
            )
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        document = Owner(checkout=checkout, pid=os.getpid(), started=now).model_dump_json()
        _owner_file(environment).write_text(document + "\n")
        survivors.end(environment)
        with survivors.marked(environment):
            yield
    finally:
        os.close(descriptor)


def free(environment: str) -> None:
    """Give the environment up and remove all of its state; call it while holding the lock.

    The lock file goes last: until then a second command is refused.
    """
    last = _lock_file(environment)
    for path in last.parent.iterdir():
        if path == last:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    last.unlink()
    with contextlib.suppress(OSError):  # not empty: another command has begun meanwhile
        last.parent.rmdir()


def _acquire(environment: str) -> int:
    path = _lock_file(environment)
    while True:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:  # `yard down` has just removed the folder
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise _busy(environment) from None
        # `yard down` deletes the file: a lock on a deleted file protects nothing.
        try:
            if os.fstat(descriptor).st_ino == path.stat().st_ino:
                return descriptor
        except FileNotFoundError:
            pass
        os.close(descriptor)


def _busy(environment: str) -> Refusal:
    found = owner(environment)
    who = f"process {found.pid} of {found.checkout}" if found else "another process"
    since = f" since {found.started}" if found else ""
    return Refusal(
        f"environment {environment}: lock",
        who,
        f"one command at a time writes to an environment, and that one works on it{since}",
        "Wait until it is done, or stop it, and run this command again.",
    )


def _owner_file(environment: str) -> Path:
    return places.state(environment) / "owner.json"


def _lock_file(environment: str) -> Path:
    return places.state(environment) / "lock"
