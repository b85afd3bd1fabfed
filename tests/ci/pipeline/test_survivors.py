"""What a killed run left running is found by its mark, and ended before anybody else works."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci import procfs
from ci.pipeline import lock, survivors
from infra import places

ENVIRONMENT = f"of-test-{os.getpid()}"

# Like Ansible's workers: a session of its own, so that a signal to the group does not reach it.
RUN = f"""
import subprocess, time
from ci.pipeline import lock
with lock.hold({ENVIRONMENT!r}):
    child = subprocess.Popen(["sleep", "600"], start_new_session=True)
    print(child.pid, flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def stray() -> Iterator[int]:
    """A process that a run started and that outlived the run's process group."""
    run = subprocess.Popen(
        [sys.executable, "-c", RUN], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    with run:
        assert run.stdout is not None
        process = int(run.stdout.readline())
        os.killpg(run.pid, signal.SIGKILL)
    yield process
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return


def test_what_outlived_a_killed_run_is_gone_when_the_next_one_begins(stray: int) -> None:
    assert procfs.lives(stray)

    with lock.hold(ENVIRONMENT):
        assert not procfs.lives(stray)


def test_what_works_on_another_environment_is_let_live(stray: int) -> None:
    with lock.hold("another"):
        assert procfs.lives(stray)


def test_what_works_on_an_environment_of_the_same_name_elsewhere_is_let_live(
    stray: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "elsewhere"))

    with lock.hold(ENVIRONMENT):
        assert procfs.lives(stray)


def test_a_run_does_not_end_itself_where_it_was_started_by_a_marked_program() -> None:
    inner = "import os; from ci.pipeline import survivors; print(survivors.end(os.environ['E']))"
    with survivors.marked(ENVIRONMENT):
        done = subprocess.run(
            [sys.executable, "-c", inner],
            env=os.environ | {"E": ENVIRONMENT},
            capture_output=True,
            text=True,
        )

    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_the_mark_ends_with_the_run_and_is_kept_from_what_outlives_it() -> None:
    with lock.hold(ENVIRONMENT):
        assert os.environ[survivors.VARIABLE] == str(places.state(ENVIRONMENT))
        assert survivors.VARIABLE not in survivors.unmarked()

    assert survivors.VARIABLE not in os.environ


def test_a_process_that_does_not_end_is_named(stray: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survivors, "PATIENCE_S", 0.2)
    monkeypatch.setattr(os, "kill", lambda *_: None)

    with pytest.raises(survivors.SurvivorError, match=str(stray)):
        survivors.end(ENVIRONMENT)
