"""Where an environment's stacks are kept: a folder of this machine or the account's bucket."""

import json
from pathlib import Path
from typing import Any, Protocol

import orjson

from ci import procfs
from ci.pipeline.events import StackError
from infra import places
from infra.environment import Environment
from infra.foundation import place
from infra.foundation.settings import Aws


class Backend(Protocol):
    """What differs between the places. Stacks are named by their project."""

    secrets_provider: str | None
    """What encrypts the secrets of a stack; None: the environment's own passphrase."""

    @property
    def variables(self) -> dict[str, str]:
        """Variables by which the engine finds the place and may read its secrets."""

    def require(self) -> None:
        """Refuse when nothing can be kept there yet."""

    def document(self, project: str) -> dict[str, Any] | None:
        """A stack as the engine wrote it; None when there is none."""

    def unlock(self, project: str) -> None:
        """Remove locks of which it is known that nobody holds them; StackError for a held one."""


def of(env: Environment) -> Backend:
    """The place of an environment."""
    return Bucket(env, env.aws) if env.aws else Folder(env)


class Folder:
    """A folder of the environment's state on this machine."""

    secrets_provider: str | None = None

    def __init__(self, env: Environment) -> None:
        self._env, self._folder = env, places.state(env.name) / "pulumi"

    @property
    def variables(self) -> dict[str, str]:
        """Its address and the passphrase's file."""
        passphrase = places.state(self._env.name) / "credentials" / "passphrase"
        return {
            "PULUMI_BACKEND_URL": address(self._folder),
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(passphrase),
        }

    def require(self) -> None:
        """Make it, without the attributes that :func:`address` leaves out."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in self._folder.rglob("*.attrs"):
            path.unlink(missing_ok=True)

    def file(self, project: str) -> Path:
        """The file of a stack."""
        return self._folder / ".pulumi" / "stacks" / project / f"{self._env.name}.json"

    def document(self, project: str) -> dict[str, Any] | None:
        """What the file holds."""
        try:
            found: dict[str, Any] = orjson.loads(self.file(project).read_bytes())
        except FileNotFoundError:
            return None
        return found

    def unlock(self, project: str) -> None:
        """Remove locks of processes that are gone."""
        for path in (self._folder / ".pulumi" / "locks").glob(
            f"**/{project}/{self._env.name}/*.json"
        ):
            holder = _holder(path)
            if holder is not None:
                raise StackError(
                    f"Another pulumi works on the stack {project} (process {holder}). Wait until "
                    "it is done, or stop it, and run this command again."
                )
            path.unlink(missing_ok=True)


class Bucket:
    """The bucket that `yard bootstrap` made in the environment's account, and its key."""

    def __init__(self, env: Environment, aws: Aws) -> None:
        self._env, self._place = env, place.of(env, aws)
        self.secrets_provider: str | None = self._place.state_variables["PULUMI_SECRETS_PROVIDER"]

    @property
    def variables(self) -> dict[str, str]:
        """Addresses of both; credentials are the caller's own."""
        return self._place.state_variables

    def require(self) -> None:
        """Refuse credentials of another account, and an account that is not prepared."""
        from ci.aws import account, state  # the SDK takes a second, which hosts need not spend

        state.require(account.session(self._env), self._place)

    def document(self, project: str) -> dict[str, Any] | None:
        """What the bucket holds."""
        from ci.aws import account, state

        key = f".pulumi/stacks/{project}/{self._env.name}.json"
        content = state.read(account.session(self._env), self._place, key)
        if content is None:
            return None
        found: dict[str, Any] = orjson.loads(content)
        return found

    def unlock(self, project: str) -> None:
        """Nothing: whether a process on another machine is gone cannot be known from here.

        The engine then names who holds the lock, and `pulumi cancel` removes it.
        """


def address(folder: Path) -> str:
    """Address of a backend in a folder.

    Without the files of attributes that the backend would write beside each of its own: they are
    not replaced in one step, and a killed `up` left an empty one that no command could read.
    """
    return f"file://{folder}?metadata=skip"


def _holder(lock: Path) -> int | None:
    """The process that wrote a lock, if it still is a `pulumi`."""
    try:
        pid = int(json.loads(lock.read_text())["pid"])
    except (FileNotFoundError, ValueError, KeyError):
        return None
    stat = procfs.stat(pid)
    return pid if stat and stat.name == "pulumi" else None
