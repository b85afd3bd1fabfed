"""The content-keyed store of finished tools: an entry is either whole or absent.

An entry is made in a folder of another name, written through to the disk, its manifest last, and
renamed into place in one step, so that an interrupted build leaves nothing that a later run trusts.
"""

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from infra import disk, places

UNUSED_DAYS = 14
"""An entry that no run asked for in so many days may go when a newer one of its name is made."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A finished tool on disk: where it is and what it says of itself."""

    path: Path
    name: str
    version: str
    source: str
    files: dict[str, str]
    """sha256 by relative path."""
    sizes: dict[str, int] = field(default_factory=dict)
    """Bytes by relative path; entries of the first days lack them."""

    def file(self, relative: str) -> Path:
        """Path of one file of the entry; KeyError when the entry never had it."""
        self.files[relative]
        return self.path / relative

    def damage(self) -> list[str]:
        """Files that are missing or whose sha256 differs from the manifest (reads every byte)."""
        return [name for name, want in self.files.items() if sha256(self.path / name) != want]


def root() -> Path:
    """Folder of all entries."""
    return places.cache() / "tools"


def find(name: str, key: str) -> Entry | None:
    """The entry, or None. An entry that lost or cut a file counts as absent."""
    path = root() / f"{name}-{key}"
    listing = path / "manifest.json"
    try:
        entry = Entry(path=path, **json.loads(listing.read_text()))
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        return None
    for file in entry.files:
        here = path / file
        if not here.is_file() or here.stat().st_size != entry.sizes.get(file, here.stat().st_size):
            return None
    os.utime(listing)  # used now: _retire looks at it
    return entry


def ensure(
    name: str, key: str, *, version: str, source: str, make: Callable[[Path], None]
) -> Entry:
    """Return the entry, making it first when it is absent.

    ``make`` fills the folder that it is given; :func:`scratch` of that folder is its room for what
    nobody needs afterwards. One process makes an entry; others wait for it.
    """
    if entry := find(name, key):
        return entry
    root().mkdir(parents=True, exist_ok=True)
    with _lock(f"{name}-{key}"):
        if entry := find(name, key):
            return entry
        target = root() / f"{name}-{key}"
        partial = root() / f".partial-{name}-{key}"
        shutil.rmtree(partial, ignore_errors=True)  # of a killed run: its lock is ours now
        folder = partial / "entry"
        folder.mkdir(parents=True)
        try:
            make(folder)
            entry = _seal(folder, target, name, version, source)
            if target.exists():
                shutil.rmtree(target)
            folder.rename(target)
            disk.sync(root())
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        _retire(entry)
        return entry


def scratch(folder: Path) -> Path:
    """Room for a build's caches beside the folder of ``make``; deleted when the build is over."""
    room = folder.parent / "scratch"
    room.mkdir(exist_ok=True)
    return room


@contextmanager
def turn(what: str) -> Iterator[None]:
    """Wait until no other process of this machine is at ``what``, and hold it until the end."""
    with _lock(what):
        yield


def remove(entry: Entry) -> None:
    """Forget an entry, so that the next :func:`ensure` makes it again."""
    shutil.rmtree(entry.path)


def sha256(path: Path) -> str:
    """Hex digest of a file; an absent file has the digest ''."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        return ""


def tidy() -> None:
    """Remove what killed builds left behind, of any name, unless a build of it runs now."""
    for partial in root().glob(".partial-*"):
        with _lock(partial.name.removeprefix(".partial-"), wait=False) as ours:
            if ours:
                shutil.rmtree(partial, ignore_errors=True)


def _seal(folder: Path, target: Path, name: str, version: str, source: str) -> Entry:
    """Write the manifest of a filled folder, and see that all of it is on the disk."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    for path in paths:
        disk.sync(path)
    files = {str(path.relative_to(folder)): sha256(path) for path in paths}
    sizes = {str(path.relative_to(folder)): path.stat().st_size for path in paths}
    document = {"name": name, "version": version, "source": source, "files": files, "sizes": sizes}
    listing = folder / "manifest.json"
    listing.write_text(json.dumps(document, indent=1))
    disk.sync(listing)
    folder.chmod(0o755)
    return Entry(path=target, name=name, version=version, source=source, files=files, sizes=sizes)


def _retire(newest: Entry) -> None:
    """Remove older entries of the same name that nobody used for UNUSED_DAYS."""
    oldest = time.time() - UNUSED_DAYS * 86400
    for listing in root().glob(f"{newest.name}-*/manifest.json"):
        try:
            same = json.loads(listing.read_text()).get("name") == newest.name
            if same and listing.parent != newest.path and listing.stat().st_mtime < oldest:
                shutil.rmtree(listing.parent)
        except (FileNotFoundError, ValueError):
            continue  # another process removed it, or it is damaged: ensure replaces that one


@contextmanager
def _lock(name: str, *, wait: bool = True) -> Iterator[bool]:
    descriptor = os.open(root() / f".{name}.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)
