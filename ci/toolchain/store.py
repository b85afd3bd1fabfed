"""The content-keyed store of finished tools: an entry is either whole or absent.

An entry is written under a temporary name, its manifest last, and renamed into place in one step,
so that an interrupted build leaves nothing that a later run trusts.
"""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra import places


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A finished tool on disk: where it is and what it says of itself."""

    path: Path
    name: str
    version: str
    source: str
    files: dict[str, str]

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
    """The entry, or None. An entry that lost a file counts as absent."""
    path = root() / f"{name}-{key}"
    try:
        entry = Entry(path=path, **json.loads((path / "manifest.json").read_text()))
    except (FileNotFoundError, NotADirectoryError):
        return None
    return entry if all((path / file).is_file() for file in entry.files) else None


def ensure(
    name: str, key: str, *, version: str, source: str, make: Callable[[Path], None]
) -> Entry:
    """Return the entry, making it first when it is absent.

    ``make`` fills the folder that it is given. One process makes an entry; others wait for it.
    """
    if entry := find(name, key):
        return entry
    root().mkdir(parents=True, exist_ok=True)
    with _lock(f"{name}-{key}"):
        if entry := find(name, key):
            return entry
        _sweep(name)
        target = root() / f"{name}-{key}"
        partial = Path(tempfile.mkdtemp(prefix=f".partial-{name}-", dir=root()))
        try:
            make(partial)
            files = {
                str(path.relative_to(partial)): sha256(path)
                for path in sorted(partial.rglob("*"))
                if path.is_file()
            }
            document = {"name": name, "version": version, "source": source, "files": files}
            (partial / "manifest.json").write_text(json.dumps(document, indent=1))
            partial.chmod(0o755)
            if target.exists():
                shutil.rmtree(target)
            partial.rename(target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return Entry(path=target, name=name, version=version, source=source, files=files)


def sha256(path: Path) -> str:
    """Hex digest of a file; an absent file has the digest ''."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        return ""


def _sweep(name: str) -> None:
    """Remove what a killed build of the same name left behind; its lock is ours now."""
    for leftover in root().glob(f".partial-{name}-*"):
        shutil.rmtree(leftover, ignore_errors=True)


@contextmanager
def _lock(name: str) -> Iterator[None]:
    descriptor = os.open(root() / f".{name}.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
