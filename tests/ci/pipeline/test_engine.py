import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci.pipeline import engine, survivors
from ci.report import Report, silent
from ci.toolchain import debian
from infra.refusal import Refusal


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "run" / "engine.json"
    monkeypatch.setattr(engine, "RECORD", path)
    monkeypatch.setattr(engine, "LOG", tmp_path / "dockerd.log")
    monkeypatch.setattr(engine, "PID_FILES", {})
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    return path


@pytest.fixture
def no_engine(record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "answers", lambda: None)


def _program(folder: Path, text: str) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / "dockerd"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_an_engine_that_answers_is_used_and_is_not_ours(
    record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "answers", lambda: "27.0")

    found = engine.ensure(silent)

    assert found == engine.Engine(version="27.0", started_by_us=False)


def test_an_engine_elsewhere_that_does_not_answer_is_refused_not_replaced(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")

    with pytest.raises(Refusal, match="DOCKER_HOST") as refused:
        engine.ensure(silent)

    assert "unset DOCKER_HOST" in refused.value.remedy


def test_an_ordinary_user_without_an_engine_is_told_what_to_do(
    no_engine: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(Refusal, match="only root") as refused:
        engine.ensure(silent)

    assert "as root" in refused.value.remedy


def test_a_daemon_that_ends_at_once_fails_with_the_end_of_its_log(
    no_engine: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _program(tmp_path / "bin", "echo 'no space left for bridges' >&2; exit 7")
    monkeypatch.setattr(engine, "PATH", f"{tmp_path}/bin:/usr/bin:/bin")

    with pytest.raises(engine.EngineError) as failed:
        engine.ensure(silent)

    assert "ended with 7" in str(failed.value)
    assert "no space left for bridges" in str(failed.value)
    assert not engine.RECORD.exists()


def test_the_daemon_outlives_the_run_so_it_does_not_bear_its_mark(
    no_engine: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _program(tmp_path / "bin", f"echo mark=${{{survivors.VARIABLE}-none}} >&2; exit 1")
    monkeypatch.setattr(engine, "PATH", f"{tmp_path}/bin:/usr/bin:/bin")

    with survivors.marked("test"), pytest.raises(engine.EngineError, match="mark=none"):
        engine.ensure(silent)


def test_a_missing_daemon_is_installed_before_it_is_started(
    no_engine: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "PATH", f"{tmp_path}/bin:/bin/none")
    installed: list[str] = []

    def install(report: Report, packages: list[str]) -> None:
        installed.extend(packages)
        _program(tmp_path / "bin", "exit 1")

    monkeypatch.setattr(debian, "require", install)

    with pytest.raises(engine.EngineError):
        engine.ensure(silent)

    assert "docker.io" in installed


def test_a_pid_file_of_a_process_that_is_gone_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "docker.pid"
    path.write_text("4194303")

    assert engine.remove_stale_pid_file(path, "dockerd")
    assert not path.exists()


def test_a_pid_file_whose_number_another_program_has_now_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "docker.pid"
    path.write_text(str(os.getpid()))

    assert engine.remove_stale_pid_file(path, "dockerd")
    assert not path.exists()


def test_a_pid_file_of_the_living_program_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "docker.pid"
    path.write_text(str(os.getpid()))
    name = Path("/proc/self/comm").read_text().strip()

    assert not engine.remove_stale_pid_file(path, name)
    assert path.exists()


def test_a_damaged_pid_file_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "docker.pid"
    path.write_text("half a")

    engine.remove_stale_pid_file(path, "dockerd")

    assert not path.exists()


def test_an_engine_that_somebody_else_started_is_never_stopped(
    record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "answers", lambda: "27.0")

    assert engine.stop_if_ours() is False


def test_a_process_that_took_over_the_recorded_number_is_not_taken_for_the_engine(
    record: Path,
) -> None:
    record.parent.mkdir()
    record.write_text(json.dumps({"pid": os.getpid(), "born": 1}))

    assert engine.stop_if_ours() is False


@pytest.fixture
def second_engine(record: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A real daemon apart from the machine's: other folders, and a network namespace of its own.

    Without the namespace it would take the machine's bridge and firewall for its own.
    """
    real = shutil.which("dockerd", path=engine.PATH)
    assert os.geteuid() == 0, "this test starts a container engine: run it as root"
    assert real, "dockerd is not installed: run `yard up` once"
    # Sockets have at most 107 characters in their path.
    base = Path("/run") / f"modelyard-test-{os.getpid()}"
    base.mkdir()
    flags = (
        f"--data-root {tmp_path}/data --exec-root {base}/exec --pidfile {base}/docker.pid"
        f" --host unix://{base}/docker.sock"
    )
    _program(tmp_path / "bin", f"exec unshare --net {real} {flags}")
    monkeypatch.setattr(engine, "PATH", f"{tmp_path}/bin:{engine.PATH}")
    monkeypatch.setattr(engine, "LEFT_MOUNTS", (base, tmp_path))
    monkeypatch.setattr(engine, "BRIDGE", "modelyard-none0")
    pid_files = {
        base / "docker.pid": "dockerd",
        base / "exec" / "containerd" / "containerd.pid": "containerd",
    }
    monkeypatch.setattr(engine, "PID_FILES", pid_files)
    monkeypatch.setattr(engine, "SOCKET", f"unix://{base}/docker.sock")
    yield base
    if (pid := engine._ours()) is not None:
        os.kill(pid, signal.SIGKILL)
    for folder in engine.LEFT_MOUNTS:
        engine._unmount_below(folder)
    shutil.rmtree(base)


@pytest.mark.hosts
def test_a_started_engine_outlives_a_crash_is_kept_and_is_stopped_without_a_trace(
    second_engine: Path,
) -> None:
    first = engine.ensure(silent)
    assert first.started_by_us
    assert engine.ensure(silent) == first

    crashed = engine._ours()
    assert crashed is not None
    os.kill(crashed, signal.SIGKILL)
    engine._started[-1].wait()
    assert (second_engine / "docker.pid").exists()
    # Its number now belongs to a program that lives: this one.
    (second_engine / "docker.pid").write_text(str(os.getpid()))

    assert engine.ensure(silent).started_by_us
    running = engine._ours()
    assert running not in {None, crashed}

    with engine.kept():
        assert engine.stop_if_ours() is False
    assert engine.stop_if_ours() is True
    assert engine.answers() is None
    deadline = time.monotonic() + 30
    while Path(f"/proc/{running}/cmdline").exists() and time.monotonic() < deadline:
        engine._started[-1].poll()
        time.sleep(0.1)
    assert not Path(f"/proc/{running}/cmdline").exists()
    assert str(second_engine) not in Path("/proc/mounts").read_text()
