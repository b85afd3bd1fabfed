from pathlib import Path

import pytest

from ci.pipeline import training
from ci.pipeline.training import TrainingError
from ci.report import silent


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "modelyard"


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
