import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from ci.pipeline import venv
from ci.report import silent
from infra.refusal import Refusal


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, with enough disk."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100 * 2**30))
    return tmp_path / "modelyard" / "kind"


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """A lock file."""
    path = tmp_path / "requirements.lock"
    path.write_text("torch==1\n")
    return path


@pytest.fixture
def uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A uv that links this Python into the environment; it counts its runs, and can fail."""
    program = tmp_path / "uv"
    program.write_text(
        "#!/bin/sh\n"
        f"echo run >> {tmp_path}/runs\n"
        f"test -e {tmp_path}/broken && echo 'no such package' >&2 && exit 1\n"
        'test "$1" = venv || exit 0\n'
        'for one in "$@"; do case "$one" in *.partial-*) target="$one";; esac; done\n'
        f'mkdir -p "$target/bin" && ln -s {sys.executable} "$target/bin/python"\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr(venv, "uv", lambda: str(program))
    return tmp_path


def ensure(lock: Path) -> Path:
    return venv.ensure("kind", lock, 6, silent)


def runs(folder: Path) -> int:
    return len((folder / "runs").read_text().splitlines())


def test_the_environment_is_made_once_for_a_lock(uv: Path, lock: Path, cache: Path) -> None:
    first = ensure(lock)
    second = ensure(lock)

    assert first == second == cache / venv.key(lock) / "bin/python"
    assert runs(uv) == 2  # the environment, and what is in it


def test_another_lock_is_another_environment(uv: Path, lock: Path) -> None:
    before = ensure(lock)
    lock.write_text("torch==0\n")

    assert ensure(lock) != before


def test_a_failed_installation_leaves_nothing_and_says_why(
    uv: Path, lock: Path, cache: Path
) -> None:
    (uv / "broken").touch()
    with pytest.raises(venv.VenvError, match="no such package"):
        ensure(lock)
    assert [path for path in cache.iterdir() if path.is_dir()] == []
    (uv / "broken").unlink()

    assert ensure(lock).exists()


def test_what_a_killed_run_left_is_not_trusted_and_taken_away(
    uv: Path, lock: Path, cache: Path
) -> None:
    left = cache / f".partial-{venv.key(lock)}-killed"
    (left / "bin").mkdir(parents=True)
    (left / "bin/python").touch()

    python = ensure(lock)

    assert os.access(python, os.X_OK)
    assert not left.exists()


def test_too_little_disk_is_refused_before_anything_is_done(
    uv: Path, lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=5 * 2**30))

    with pytest.raises(Refusal, match=r"5\.0 GiB.*needs 6 GiB") as caught:
        ensure(lock)

    assert "XDG_CACHE_HOME" in caught.value.remedy
    assert not (uv / "runs").exists()
