"""What this machine keeps of an environment and nobody can make again, as one archive.

Not in it: what `yard up` makes from the checkout (commands, plugins, facts of this machine), logs,
the history of Pulumi's runs, and who owns the environment.
"""

import io
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

KEPT = (
    "Pulumi.{name}.yaml",  # with the salt of its secrets' encryption
    "contract.json",
    "credentials",  # with the passphrase of Pulumi's state
    "kubeconfig",
    "platform.json",
    "pulumi",
    "releases",
    "ssh",
    "supply.json",
)
"""Files and folders of the state folder; those that are there."""


SCRATCH = ".restoring-"
ATTEMPTS = 5
"""A command that works on the environment replaces files: one may be gone before it is read."""


def pack(folder: Path, name: str) -> bytes:
    """An archive of the state folder of the environment ``name``."""
    for left in reversed(range(ATTEMPTS)):
        try:
            return _packed(folder, name)
        except FileNotFoundError:
            if not left:
                raise
    raise AssertionError("the last attempt returned or raised")


def _packed(folder: Path, name: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as archive:
        for path in _there(folder, name):
            archive.add(path, path.relative_to(folder).as_posix(), filter=_lasting)
    return packed.getvalue()


def unpack(archive: BinaryIO, folder: Path, name: str) -> list[str]:
    """Put back what the archive holds, and take away what it does not hold; returns the former.

    Each file or folder is replaced whole. The folder's other content stays.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch = Path(tempfile.mkdtemp(dir=folder, prefix=SCRATCH))
    try:
        with tarfile.open(fileobj=archive) as packed:
            packed.extractall(scratch / "new", filter="data")
    except BaseException:
        shutil.rmtree(scratch)
        raise
    (scratch / "old").mkdir()
    for entry in _names(name):
        if (folder / entry).exists():
            (folder / entry).rename(scratch / "old" / entry)
        if (scratch / "new" / entry).exists():
            (scratch / "new" / entry).rename(folder / entry)
    # Also those of killed runs: until now theirs was the only copy of what they had moved.
    for done in folder.glob(f"{SCRATCH}*"):
        shutil.rmtree(done)
    return [path.name for path in _there(folder, name)]


def _names(name: str) -> list[str]:
    return [entry.format(name=name) for entry in KEPT]


def _there(folder: Path, name: str) -> Iterator[Path]:
    yield from (folder / entry for entry in _names(name) if (folder / entry).exists())


def _lasting(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Without locks, which tell of processes of now, and earlier states, which only grow."""
    left_out = ("/.pulumi/locks", "/.pulumi/history", "/.pulumi/backups")
    return None if any(part in f"/{member.name}" for part in left_out) else member
