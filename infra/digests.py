"""Digests of what objects are made from: the same digest means the same objects."""

import hashlib
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from pathlib import Path

from infra import places


def of(parts: Iterable[bytes]) -> str:
    """One digest of several parts, in their order, as hex digits."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


def files(paths: Iterable[Path]) -> str:
    """Digest of files' contents, and of all that folders hold, whatever their names are."""
    found = [
        file
        for path in sorted(paths)
        for file in (sorted(path.rglob("*")) if path.is_dir() else [path])
        if file.is_file()
    ]
    return of(file.read_bytes() for file in found)


@cache
def program() -> str:
    """Digest of what makes and checks objects. Of all of infra: what they use may move."""
    versions = [metadata.version(name).encode() for name in ("pulumi", "pulumi-kubernetes")]
    found = sorted((places.REPOSITORY / "infra").rglob("*"))
    sources = [path for path in found if path.suffix in (".py", ".yaml")]
    return of([*versions, *(path.read_bytes() for path in sources)])
