"""What a backup is: sealed files, and a manifest that names each of them with its digest.

    20261121T221500Z/
      manifest.json          what this module writes; nothing in it is secret
      manifest.json.sha256   its digest, as `sha256sum --check` reads it
      cluster.age            etcd's snapshot and the keys that a control plane cannot do without
      state.age              what this machine keeps of the environment
      blobs/HEX.age          the registry's content, a file for each of its blobs

A folder with a manifest is whole: it got its name when everything in it was on the disk.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from infra import disk, refusal
from infra.names import Closed, Digest, DnsLabel
from infra.refusal import Refusal

NAME = "manifest.json"
SUM = "manifest.json.sha256"
CLUSTER = "cluster.age"
STATE = "state.age"
BLOBS = "blobs"
REMEDY = "Restore from another backup: the folder beside it with the next older name."

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class File(Closed):
    """A file of the folder, as it lies there: encrypted."""

    sha256: Sha256
    size: Annotated[int, Field(ge=0)]
    """Bytes."""


class Image(Closed):
    """An image, or a part of one that is made of several, as the registry had it."""

    repository: str
    tag: str | None
    """None where only its digest named it."""
    media_type: str
    digest: Digest
    blobs: tuple[Digest, ...]
    """Of its configuration and layers."""


class Versions(Closed):
    """Of what wrote the data, which must be able to read it again."""

    kubernetes: str
    etcd: str


class Manifest(Closed):
    """A backup. Times are UTC as ISO 8601."""

    format: Literal[1] = 1
    environment: DnsLabel
    made: str
    """When etcd's snapshot was taken: what changed later is not in it."""
    commit: str
    """Of the checkout that made it; empty where it was none."""
    control_plane: str
    """Host that was asked for the snapshot."""
    revision: int
    """Of etcd's data."""
    versions: Versions
    recipients: tuple[str, ...]
    """Public keys that it is encrypted to."""
    registry: bool
    """Whether the registry's content is in it."""
    missing: tuple[str, ...] = ()
    """REPOSITORY@DIGEST that a release names and the registry did not have."""
    images: tuple[Image, ...] = ()
    files: dict[str, File]


def blob(digest: str) -> str:
    """Name of the file that holds a blob or an image's manifest."""
    return f"{BLOBS}/{digest.removeprefix('sha256:')}.age"


def write(folder: Path, manifest: Manifest) -> None:
    """Write the manifest and its digest, and put everything on the disk."""
    text = manifest.model_dump_json(indent=1) + "\n"
    digest = hashlib.sha256(text.encode()).hexdigest()
    for name, content in ((NAME, text), (SUM, f"{digest}  {NAME}\n")):
        descriptor = os.open(folder / name, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(content)
    for path in (*_files(folder), folder / BLOBS, folder):
        disk.sync(path)


def read(folder: Path) -> Manifest:
    """Read a backup's manifest; raises Refusal for what is none, or was changed."""
    path = folder / NAME
    try:
        text, said = path.read_bytes(), (folder / SUM).read_text().split()
    except (FileNotFoundError, NotADirectoryError):
        rule = f"it is no backup: it has no {NAME} with {SUM}"
        raise Refusal("restore_from", str(folder), rule, "Name the folder of one backup.") from None
    except UnicodeDecodeError:
        said, text = [], b""
    digest = hashlib.sha256(text).hexdigest()
    if said != [digest, NAME]:
        raise Refusal(str(path), digest, f"its digest is not the one in {SUM}", REMEDY)
    return refusal.read(path, Manifest)


def require_whole(folder: Path, manifest: Manifest, names: Iterable[str] | None = None) -> None:
    """Refuse a backup in which a file is missing, or has another digest than it was given.

    ``names``: look at no others.
    """
    wanted = manifest.files if names is None else {name: manifest.files[name] for name in names}
    for name, file in sorted(wanted.items()):
        path = folder / name
        if not path.is_file():
            raise Refusal(str(path), None, f"{NAME} names it, and it is missing", REMEDY)
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if digest != file.sha256:
            rule = f"its digest is not the one in {NAME}: the file was changed"
            raise Refusal(str(path), digest, rule, REMEDY)


def _files(folder: Path) -> Iterator[Path]:
    yield from (path for path in folder.rglob("*") if path.is_file())
