"""Releases: what should run in an environment, one file per model.

A shared environment keeps them in git (``bentos/releases/ENV/NAME.yaml``), where a pull request
shows what changes; an environment of one machine keeps them in its state folder.
"""

import re
import tempfile
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, Field, StringConstraints, model_validator

from infra import places, refusal
from infra.environment import Environment
from infra.names import Digest, Version

DEADLINE_SECONDS = 600
"""A roll-out without progress for so long has failed. It stands here, not beside the pods, because
`yard` needs it too and would wait seconds for the import of their types."""

NAME = re.compile(r"[a-z]([-a-z0-9]{0,48}[a-z0-9])?")
ModelName = Annotated[str, StringConstraints(pattern=f"^{NAME.pattern}$")]
"""A model's name: at most 50 characters, so that what is named after it stays a DNS label."""

Cpu = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*m?$")]
"""Cores, or thousandths of a core with the suffix m."""

Memory = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*(Mi|Gi)$")]
"""Bytes in MiB or GiB."""


class Closed(BaseModel, extra="forbid", frozen=True):
    """A part of a release: no unknown keys, no changes after load."""


class Replicas(Closed):
    """How many pods the autoscaler may run."""

    min: Annotated[int, Field(ge=1, le=100)] = 1
    max: Annotated[int, Field(ge=1, le=100)] = 2

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise ValueError("replicas.min must not be above replicas.max")
        return self


class Resources(Closed):
    """What one pod asks for. Memory is also its limit."""

    cpu: Cpu
    memory: Memory


class Serving(Closed):
    """Everything that a pod's template depends on: the same Serving means the same pods."""

    version: Version
    digest: Digest
    report: Digest
    """Digest of the gate report that let this image through."""
    resources: Resources
    pool: Literal["cpu", "gpu"] = "cpu"
    gpus: Annotated[int, Field(ge=0, le=16)] = 0
    """GPUs per pod."""

    @model_validator(mode="after")
    def _placed(self) -> Self:
        if (self.pool == "gpu") != (self.gpus > 0):
            raise ValueError("a release on the gpu pool has gpus of 1 to 16, any other has 0")
        return self


class Release(Serving):
    """What should run under one name."""

    name: ModelName
    replicas: Replicas = Replicas()
    weight: Annotated[int, Field(ge=1, le=99)] | None = None
    """Percent of requests at which a canary pauses; None: this version gets all."""
    previous: Serving | None = None
    """What was stable before; an aborted canary goes back to it."""

    @property
    def serving(self) -> Serving:
        """The part that pods depend on."""
        return Serving(**self.model_dump(include=set(Serving.model_fields)))

    @model_validator(mode="after")
    def _canary_has_a_stable_version(self) -> Self:
        if self.weight is not None and self.previous is None:
            raise ValueError("a canary needs a previous version that gets the other requests")
        return self


def folder(environment: Environment) -> Path:
    """Where the releases of an environment stand."""
    if environment.releases == "state":
        return places.state(environment.name) / "releases"
    return places.REPOSITORY / "bentos" / "releases" / environment.name


def releases(environment: Environment) -> list[Release]:
    """All releases of an environment, by name; raises Refusal for an unsound file."""
    return [_load(path) for path in sorted(folder(environment).glob("*.yaml"))]


def read(environment: Environment, name: str) -> Release | None:
    """One release, or None when the name was never shipped there."""
    path = _path(environment, name)
    return _load(path) if path.is_file() else None


def write(environment: Environment, release: Release) -> Path:
    """Write a release, at once or not at all."""
    path = _path(environment, release.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(release.model_dump(mode="json"), sort_keys=False)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".new", delete=False) as file:
        file.write(text)
    written = Path(file.name)
    try:
        written.chmod(0o644)  # as any file in git; a temporary one is its owner's alone
        written.replace(path)
    except OSError:
        written.unlink()
        raise
    return path


def remove(environment: Environment, name: str) -> None:
    """Take a release away: the next ``up`` stops its pods."""
    _path(environment, name).unlink(missing_ok=True)


def following(current: Release | None, new: Release, weight: int | None) -> Release:
    """What to write when ``new`` is shipped over ``current``, with a canary of ``weight`` or none.

    A canary that is under way is replaced, and what was stable beside it stays the previous
    version. A first release has nothing beside it, so it gets all requests.
    """
    if current is None:
        return _with(new, previous=None, weight=None)
    stable = current.previous if current.weight is not None else current.serving
    if stable == new.serving:
        before = current.previous if current.weight is None else None
        return _with(new, previous=before, weight=None)
    return _with(new, previous=stable, weight=weight)


def settle(environment: Environment, name: str) -> Release:
    """After a promotion: the canary is the version that gets all requests."""
    release = _existing(environment, name)
    return _rewrite(environment, _with(release, previous=release.previous, weight=None))


def abandon(environment: Environment, name: str) -> Release:
    """After an abort: back to the previous version; raises Refusal when there is none."""
    release = _existing(environment, name)
    if release.previous is None:
        raise refusal.Refusal(
            f"{_path(environment, name)}: previous",
            None,
            "there is no version to go back to",
            f"After an interrupted abort, run `yard up {environment.name}`, which ends it; else "
            f"ship a version that works: `yard ship {name} --to {environment.name}`.",
        )
    back = Release(name=release.name, replicas=release.replicas, **release.previous.model_dump())
    return _rewrite(environment, back)


def _with(release: Release, *, previous: Serving | None, weight: int | None) -> Release:
    # Built anew, because a copy is not checked.
    changed = {**release.model_dump(), "weight": weight}
    changed["previous"] = None if previous is None else previous.model_dump()
    return Release(**changed)


def _existing(environment: Environment, name: str) -> Release:
    release = read(environment, name)
    if release is None:
        known = ", ".join(one.name for one in releases(environment)) or "none"
        raise refusal.Refusal(
            f"release in {environment.name}",
            name,
            "nothing was shipped under this name",
            f"Known names: {known}. Ship it: `yard ship {name} --to {environment.name}`.",
        )
    return release


def _rewrite(environment: Environment, release: Release) -> Release:
    write(environment, release)
    return release


def _path(environment: Environment, name: str) -> Path:
    if not NAME.fullmatch(name):
        raise refusal.Refusal(
            "name of a model",
            name,
            "it is made of at most 50 small letters, digits and dashes, and begins with a letter",
            "Take another name.",
        )
    return folder(environment) / f"{name}.yaml"


def _load(path: Path) -> Release:
    release = refusal.read(path, Release)
    if release.name != path.stem:
        raise refusal.Refusal(
            f"{path}: name",
            release.name,
            "it must equal the file's name",
            f"Set it to {path.stem}.",
        )
    return release
