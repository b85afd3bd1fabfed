"""The folder in which an environment's backups stand: one at a time is added, old ones go.

Blobs that the newest backup has are linked into the next one, not copied: a backup costs what is
new in it, each folder is whole by itself, and one that goes takes nothing from the others.
"""

import datetime as dt
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from infra import disk
from infra.backup import manifest
from infra.names import Closed
from infra.refusal import Refusal

STAMP = "%Y%m%dT%H%M%SZ"
PARTIAL = ".partial-"


class Keep(Closed):
    """Which backups stay: the newest ``last``, and the newest of so many hours, days and weeks."""

    last: int = 24
    hours: int = 24
    days: int = 14
    weeks: int = 8


def names(shelf: Path) -> list[str]:
    """Backups, the oldest first."""
    return sorted(path.name for path in shelf.glob(f"*/{manifest.NAME}") for path in [path.parent])


@contextmanager
def adding(shelf: Path, moment: dt.datetime) -> Iterator[tuple[Path, Path]]:
    """A folder to fill and the path that it gets when all went well; else it is gone.

    What a killed run left is removed first. Raises Refusal while another run adds one.
    """
    shelf.mkdir(parents=True, exist_ok=True, mode=0o700)
    shelf.chmod(0o700)
    with (shelf / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            rule = "another run makes a backup there"
            remedy = "Wait until it is done; two schedules for one environment are one too many."
            raise Refusal("backup_folder", str(shelf), rule, remedy) from None
        for left in shelf.glob(f"{PARTIAL}*"):
            shutil.rmtree(left)
        whole = shelf / moment.strftime(STAMP)
        partial = shelf / f"{PARTIAL}{whole.name}"
        (partial / manifest.BLOBS).mkdir(parents=True, mode=0o700)
        partial.chmod(0o700)
        try:
            yield partial, whole
            partial.rename(whole)
            disk.sync(shelf)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise


def link(before: Path, name: str, file: manifest.File, folder: Path) -> bool:
    """Take a file over from another backup, unless it is not there as its manifest says."""
    source = before / name
    if not source.is_file() or source.stat().st_size != file.size:
        return False
    os.link(source, folder / name)
    return True


def prune(shelf: Path, keep: Keep) -> list[str]:
    """Remove the backups that need not be kept; returns their names."""
    found = names(shelf)
    doomed = sorted({*found} - kept(found, keep))
    for name in doomed:
        # First it is no backup any more: a killed run leaves no half one that looks whole.
        gone = shelf / f"{PARTIAL}{name}"
        (shelf / name).rename(gone)
        shutil.rmtree(gone)
    return doomed


def kept(stamps: Sequence[str], keep: Keep) -> set[str]:
    """Which of these backups stay. The newest always does."""
    rules: list[tuple[int, Callable[[dt.datetime], object]]] = [
        (max(keep.last, 1), lambda moment: moment),
        (keep.hours, lambda moment: moment.strftime("%Y%m%d%H")),
        (keep.days, lambda moment: moment.date()),
        (keep.weeks, lambda moment: moment.isocalendar()[:2]),
    ]
    found: set[str] = set()
    for count, period in rules:
        seen: dict[object, str] = {}
        for stamp in sorted(stamps, reverse=True):
            seen.setdefault(period(dt.datetime.strptime(stamp, STAMP)), stamp)
        found |= {*list(seen.values())[:count]}
    return found
