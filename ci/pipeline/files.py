"""Files that are replaced at once or not at all."""

import os
import shutil
from pathlib import Path


def write(path: Path, text: str, mode: int) -> None:
    """Write a text with exactly this mode."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.touch(mode=mode)
    partial.write_text(text)
    partial.chmod(mode)
    partial.replace(path)


def update(path: Path, text: str, mode: int) -> bool:
    """Write a text unless the file has it already; whether it changed."""
    if path.is_file() and path.read_text() == text:
        return False
    write(path, text, mode)
    return True


def link(source: Path, target: Path) -> None:
    """Hard-link a file, or copy it across file systems; what is alike already is left alone."""
    if target.exists() and (target.samefile(source) or _alike(source, target)):
        return
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    try:
        os.link(source, partial)
    except OSError:
        shutil.copy2(source, partial)
    partial.replace(target)


def _alike(one: Path, other: Path) -> bool:
    first, second = one.stat(), other.stat()
    return (first.st_size, first.st_mtime_ns) == (second.st_size, second.st_mtime_ns)
