import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from ci.pipeline import training
from ci.pipeline.training import TrainingError
from ci.report import silent
from infra.refusal import Refusal


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, with enough disk."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100 * 2**30))
    return tmp_path / "modelyard" / "training"


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
    monkeypatch.setattr(training, "uv", lambda: str(program))
    return tmp_path


def runs(folder: Path) -> int:
    return len((folder / "runs").read_text().splitlines())


def test_the_environment_is_made_once_for_a_lock(uv: Path, cache: Path) -> None:
    first = training.environment(silent)
    second = training.environment(silent)

    assert first == second == cache / training.key() / "bin/python"
    assert runs(uv) == 2  # the environment, and what is in it


def test_another_lock_is_another_environment(
    uv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = training.environment(silent)
    lock = tmp_path / "other.lock"
    lock.write_text("torch==0\n")
    monkeypatch.setattr(training, "LOCK", lock)

    assert training.environment(silent) != before


def test_a_failed_installation_leaves_nothing_and_says_why(uv: Path, cache: Path) -> None:
    (uv / "broken").touch()
    with pytest.raises(TrainingError, match="no such package"):
        training.environment(silent)
    assert [path for path in cache.iterdir() if path.is_dir()] == []
    (uv / "broken").unlink()

    assert training.environment(silent).exists()


def test_what_a_killed_run_left_is_not_trusted_and_taken_away(uv: Path, cache: Path) -> None:
    left = cache / f".partial-{training.key()}-killed"
    (left / "bin").mkdir(parents=True)
    (left / "bin/python").touch()

    python = training.environment(silent)

    assert os.access(python, os.X_OK)
    assert not left.exists()


def test_too_little_disk_is_refused_before_anything_is_done(
    uv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=5 * 2**30))

    with pytest.raises(Refusal, match=r"5\.0 GiB.*needs 6 GiB") as caught:
        training.environment(silent)

    assert "XDG_CACHE_HOME" in caught.value.remedy
    assert not (uv / "runs").exists()


@pytest.fixture
def python(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The environment's Python, in whose place a test puts a script."""
    cache.mkdir(parents=True)
    program = tmp_path / "python"
    program.touch(0o755)
    monkeypatch.setattr(training, "environment", lambda _: program)
    return program


def test_a_failed_job_ends_with_what_it_said(python: Path) -> None:
    python.write_text('#!/bin/sh\nfor n in $(seq 100); do echo "line $n" >&2; done\nexit 3\n')

    with pytest.raises(TrainingError) as caught:
        training.run(["train", "digits"], silent)

    assert "services.models.make train digits failed with 3" in str(caught.value)
    assert str(caught.value).endswith("line 100\n")
    assert "line 1\n" not in str(caught.value)


def test_a_jobs_progress_is_passed_on(python: Path) -> None:
    python.write_text("#!/bin/sh\necho '[\"fitting\", 3, 7]'\n")
    told: list[tuple[str, int, int]] = []

    training.run(["train", "digits"], lambda *one: told.append(one))

    assert told == [("fitting", 3, 7)]


def test_a_job_sees_nothing_of_the_callers_environment(
    python: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONSTARTUP", "/evil.py")
    monkeypatch.setenv("A_SECRET", "hunter2")
    python.write_text(
        '#!/bin/sh\nfor one in $(env | cut -d= -f1); do echo "[\\"$one\\", 1, 1]"; done\n'
    )
    told: set[str] = set()

    training.run(["train", "digits"], lambda text, done, total: told.add(text))

    assert {"HOME", "LANG", "PATH", "PYTHONPATH", "ORT_DISABLE_TELEMETRY"} <= told
    assert not {"A_SECRET", "PYTHONSTARTUP"} & told
