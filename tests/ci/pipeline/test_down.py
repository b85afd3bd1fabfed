"""What `down` refuses, before it has touched anything."""

import io
from pathlib import Path

import pytest

from ci.pipeline import down
from ci.pipeline.steps import Steps
from ci.yard.progress import Progress
from infra import environment, places
from infra.environment import Environment
from infra.refusal import Refusal


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


def take(env: Environment) -> None:
    down.run(env, Steps(Progress(io.StringIO())))


@pytest.mark.parametrize("name", ["staging", "prod"])
def test_a_protected_environment_is_not_taken_away(name: str, state: Path) -> None:
    with pytest.raises(Refusal, match=rf"Pulumi.{name}.yaml: protected is True.*not taken away"):
        take(environment.load(name))

    assert list(state.iterdir()) == []


def test_protection_holds_for_hosts_too() -> None:
    guarded = environment.load("test").model_copy(update={"protected": True})

    with pytest.raises(Refusal, match="protected is True"):
        take(guarded)

    assert not places.state("test").exists()


def test_an_account_is_not_taken_away_by_one_command() -> None:
    with pytest.raises(Refusal, match=r"substrate is 'aws'.*pulumi destroy"):
        take(environment.load("dev"))
