"""Make one backup: seal what the host gave, what this machine keeps, and the registry's content."""

import datetime as dt
import io
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from infra import contract, places
from infra.backup import images, manifest, seal, shelf, state
from infra.backup.manifest import File, Image, Manifest
from infra.environment import Environment
from infra.models import release
from infra.refusal import Refusal

PLATFORM = ("pulumi", ".pulumi", "stacks", "modelyard")
"""Folder of the platform's stack: an environment without it has no registry yet."""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What a control plane gave: an archive, and what it is of."""

    archive: bytes
    moment: dt.datetime
    control_plane: str
    revision: int
    versions: manifest.Versions


def make(
    env: Environment,
    folder: Path,
    taken: Taken,
    *,
    key: Path,
    to: Sequence[str],
    keep: shelf.Keep,
    registry: bool,
) -> Path:
    """Write a backup, then remove those that need not be kept; returns its folder.

    The registry comes last, because a release is written when its image is there already. Raises
    Refusal, or images.RegistryError.
    """
    before = _newest(folder)
    recipients = seal.recipients(to, key, before[1].recipients if before else ())
    if before and before[1].recipients != recipients:
        before = None  # what others can read is encrypted anew
    files: dict[str, File] = {}
    with shelf.adding(folder, taken.moment) as (partial, whole):
        files[manifest.CLUSTER] = seal.seal(
            io.BytesIO(taken.archive), partial / manifest.CLUSTER, recipients
        )
        packed = state.pack(places.state(env.name), env.name)
        files[manifest.STATE] = seal.seal(io.BytesIO(packed), partial / manifest.STATE, recipients)
        found: list[Image] = []
        missing: list[str] = []
        has_registry = registry and _has_registry(env)
        if has_registry:
            with images.connect(contract.load(env)) as source:
                found, missing = source.images(_released(env))
                for image in found:
                    files |= _copy(source, image, files, before, partial, recipients)
        manifest.write(
            partial,
            Manifest(
                environment=env.name,
                made=taken.moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
                commit=_commit(),
                control_plane=taken.control_plane,
                revision=taken.revision,
                versions=taken.versions,
                recipients=recipients,
                registry=has_registry,
                missing=tuple(missing),
                images=tuple(found),
                files=files,
            ),
        )
    shelf.prune(folder, keep)
    return whole


def _copy(
    source: images.Registry,
    image: Image,
    known: dict[str, File],
    before: tuple[Path, Manifest] | None,
    partial: Path,
    to: Sequence[str],
) -> dict[str, File]:
    """Files of one image that the backup has not yet."""
    added: dict[str, File] = {}
    for digest in (*image.blobs, image.digest):
        name = manifest.blob(digest)
        if name in known or name in added:
            continue
        old = before[1].files.get(name) if before else None
        if before and old and shelf.link(before[0], name, old, partial):
            added[name] = old
        elif digest == image.digest:
            content = io.BytesIO(source.manifest(image.repository, digest))
            added[name] = seal.seal(content, partial / name, to)
        else:
            with source.blob(image.repository, digest) as blob:
                added[name] = seal.seal(blob, partial / name, to)
    return added


def _newest(folder: Path) -> tuple[Path, Manifest] | None:
    """The newest backup that can be built upon; one that is damaged is left for a person to see."""
    for stamp in reversed(shelf.names(folder)):
        try:
            return folder / stamp, manifest.read(folder / stamp)
        except Refusal:
            continue
    return None


def _has_registry(env: Environment) -> bool:
    if not contract.path(env.name).is_file():
        return False
    own = "registry" not in contract.load(env).existing
    return own and places.state(env.name).joinpath(*PLATFORM, f"{env.name}.json").is_file()


def _released(env: Environment) -> list[tuple[str, str]]:
    return [
        (one.name, serving.digest)
        for one in release.releases(env)
        for serving in (one, one.previous)
        if serving
    ]


def _commit() -> str:
    command = ["git", "-C", str(places.REPOSITORY), "rev-parse", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""
