import io
import time
from pathlib import Path

import pytest

from ci.pipeline.steps import Steps, recall
from ci.report import remark
from ci.yard import progress
from ci.yard.progress import Progress, remaining, span


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (59, "59 s"), (60, "1 min 00 s"), (200, "3 min 20 s")]
)
def test_seconds_are_said_as_a_person_says_them(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_the_estimate_follows_the_rate_of_the_present_count() -> None:
    assert remaining(25, 100, phase_s=10, step_s=50, expected=None) == 30


def test_without_a_count_the_estimate_is_what_the_step_took_the_last_time() -> None:
    assert remaining(0, 0, phase_s=10, step_s=10, expected=60) == 50


def test_there_is_no_estimate_when_the_last_time_is_exceeded() -> None:
    assert remaining(0, 0, phase_s=70, step_s=70, expected=60) is None


def test_elsewhere_than_on_a_terminal_every_step_begins_and_ends_with_a_plain_line(
    tmp_path: Path,
) -> None:
    stream = io.StringIO()
    with Progress(stream) as listener:
        steps = Steps(listener, tmp_path / "seconds.json")
        with steps.step("tools") as report:
            report("compiling [kubelet]", 1, 3)

    said = stream.getvalue().splitlines()
    assert [line.split()[-3:] for line in said][1:] == [["tools", "(0", "s)"]]
    assert said[0].endswith("tools")
    assert "\x1b" not in stream.getvalue()


def test_a_long_step_says_what_it_does_while_it_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "QUIET_S", 0.01)
    stream = io.StringIO()
    with Progress(stream) as bar, Steps(bar, tmp_path / "seconds.json").step("tools") as report:
        report("compiling [kubelet]", 1, 3)
        until = time.monotonic() + 20
        while "1/3" not in stream.getvalue() and time.monotonic() < until:
            time.sleep(0.01)

    assert "tools: compiling [kubelet] 1/3" in stream.getvalue()


def test_a_remark_stays_and_does_not_hide_what_is_being_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    with Progress(stream) as bar, Steps(bar, tmp_path / "seconds.json").step("tools") as report:
        report("compiling", 1, 3)
        remark(report, "to make: etcd (disk 6 GiB of [80] free)")
        report("compiling", 2, 3)

    said = [line.strip() for line in stream.getvalue().splitlines()]
    assert said[1] == "to make: etcd (disk 6 GiB of [80] free)"
    assert said[2].startswith("done  tools")


def test_a_failed_step_says_so_and_the_failure_goes_on(tmp_path: Path) -> None:
    stream = io.StringIO()
    with (
        Progress(stream) as bar,
        pytest.raises(RuntimeError, match="no disk"),
        Steps(bar, tmp_path / "seconds.json").step("tools"),
    ):
        raise RuntimeError("no disk")

    assert "failed  tools" in stream.getvalue()


def test_seconds_of_a_run_are_remembered_for_the_next_estimate(tmp_path: Path) -> None:
    memory = tmp_path / "seconds.json"
    with Progress(io.StringIO()) as listener:
        steps = Steps(listener, memory)
        with steps.step("tools"):
            pass
        steps.remember()

    assert list(recall(memory)) == ["tools"]


def test_a_damaged_memory_is_no_memory(tmp_path: Path) -> None:
    memory = tmp_path / "seconds.json"
    memory.write_text("[")

    assert recall(memory) == {}
