import multiprocessing
import shutil
from pathlib import Path

import pytest

from ci.pipeline import lock
from infra import places
from infra.refusal import Refusal


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def other(tmp_path: Path) -> Path:
    checkout = tmp_path / "other"
    checkout.mkdir()
    (checkout / "Pulumi.yaml").write_text("name: modelyard\n")
    return checkout


def _try_to_hold(answers: "multiprocessing.Queue[str]", take: bool) -> None:
    try:
        with lock.hold("test", take=take):
            answers.put("held")
    except Refusal as refusal:
        answers.put(str(refusal))


def _hold_elsewhere(*, take: bool = False) -> str:
    context = multiprocessing.get_context("fork")
    answers: multiprocessing.Queue[str] = context.Queue()
    process = context.Process(target=_try_to_hold, args=(answers, take))
    process.start()
    answer = answers.get(timeout=30)
    process.join()
    return answer


def test_a_second_process_is_refused_with_the_pid_and_checkout_of_the_first() -> None:
    with lock.hold("test"):
        found = lock.owner("test")
        answer = _hold_elsewhere()

    assert found is not None
    assert f"process {found.pid} of {places.REPOSITORY}" in answer


def test_the_lock_is_free_again_when_the_command_ends() -> None:
    with lock.hold("test"):
        pass

    assert _hold_elsewhere() == "held"


def test_another_checkout_is_refused_with_the_owners_path(other: Path) -> None:
    with lock.hold("test", other):
        pass

    with pytest.raises(Refusal, match=str(other)), lock.hold("test"):
        pytest.fail("two checkouts held one environment")


def test_a_refused_checkout_leaves_the_owner_as_it_was(other: Path) -> None:
    with lock.hold("test", other):
        pass

    with pytest.raises(Refusal), lock.hold("test"):
        pass

    found = lock.owner("test")
    assert found is not None
    assert found.checkout == other


def test_an_environment_of_a_deleted_checkout_is_taken_over(other: Path) -> None:
    with lock.hold("test", other):
        pass
    shutil.rmtree(other)

    with lock.hold("test"):
        found = lock.owner("test")

    assert found is not None
    assert found.checkout == places.REPOSITORY


def test_a_checkout_that_takes_an_environment_owns_it_from_then_on(other: Path) -> None:
    with lock.hold("test", other):
        pass

    with lock.hold("test", take=True):
        found = lock.owner("test")

    assert found is not None
    assert found.checkout == places.REPOSITORY


def test_nobody_takes_an_environment_from_a_command_that_works_on_it(other: Path) -> None:
    with lock.hold("test", other):
        answer = _hold_elsewhere(take=True)

    assert str(other) in answer
    assert "one command at a time" in answer


def test_a_freed_environment_belongs_to_the_next_who_comes(other: Path) -> None:
    with lock.hold("test", other):
        lock.free("test")

    with lock.hold("test"):
        assert lock.owner("test") is not None


def test_a_damaged_owner_file_counts_as_no_owner() -> None:
    places.state("test").mkdir(parents=True)
    (places.state("test") / "owner.json").write_text("{")

    with lock.hold("test"):
        assert lock.owner("test") is not None


def test_a_process_that_names_the_owner_acts_for_it_and_ownership_stays(
    other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lock.hold("test", other):
        pass
    monkeypatch.setenv(lock.ACT_FOR, str(other))

    with lock.hold("test"):
        found = lock.owner("test")

    assert found is not None
    assert found.checkout == other


def test_a_process_that_names_somebody_else_is_refused(
    other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lock.hold("test", other):
        pass
    monkeypatch.setenv(lock.ACT_FOR, str(other.parent))

    with pytest.raises(Refusal, match=str(other)), lock.hold("test"):
        pytest.fail("two checkouts held one environment")
