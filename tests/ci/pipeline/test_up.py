"""What `up` does and leaves out, with the steps around it replaced by ones that record."""

import io
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ci.pipeline import up
from ci.pipeline.steps import Steps
from ci.yard.progress import Progress
from infra import environment
from infra.environment import Environment
from infra.refusal import Refusal

SAME = {"create": 0, "update": 0, "replace": 0, "delete": 0, "same": 9}


class World:
    """What happened, in order, and how the machine stands."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.agrees = True
        self.released = ["digits"]
        self.changes: dict[str, dict[str, int]] = {"platform": SAME, "models": SAME}


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return environment.load("test")


@pytest.fixture
def world(env: Environment, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()

    def does(what: str) -> Any:
        return lambda *_, **__: world.done.append(what)

    def project(name: str) -> SimpleNamespace:
        def run(env: Environment, report: object) -> SimpleNamespace:
            world.done.append(f"up {name}")
            return SimpleNamespace(**world.changes[name])

        return SimpleNamespace(up=run)

    def deliver(env: Environment, name: str, **_: object) -> None:
        world.done.append(f"ship {name}")
        world.released.append(name)

    def bento(name: str) -> SimpleNamespace:
        return SimpleNamespace(default=name == "digits")

    def waits(_: Environment, digests: dict[str, None], report: object) -> None:
        world.done.append(f"wait for {' and '.join(digests)}")

    def answers(facts: object, names: list[str], report: object) -> dict[str, None]:
        world.done.append(f"ask {' and '.join(names)}")
        return dict.fromkeys(names)

    replaced: dict[str, Any] = {
        "doctor": SimpleNamespace(require=does("machine")),
        "provide": SimpleNamespace(ensure=does("tools")),
        "engine": SimpleNamespace(ensure=does("engine"), kept=nullcontext),
        "credentials": SimpleNamespace(ensure=does("credentials")),
        "hosts": SimpleNamespace(
            agrees=lambda _: world.agrees, archives=does("image"), up=does("hosts")
        ),
        "stacks": SimpleNamespace(prepare=lambda _: None),
        "platform": project("platform"),
        "models": project("models"),
        "ship": SimpleNamespace(deliver=deliver),
        "bento": SimpleNamespace(names=lambda: ["digits", "wine"], load=bento),
        "rollouts": SimpleNamespace(wait_for_all=waits),
        "contract": SimpleNamespace(load=lambda _: None),
        "prediction": SimpleNamespace(all_proven=answers, unseen=lambda _: None),
        "release": SimpleNamespace(
            releases=lambda _: [SimpleNamespace(name=name) for name in world.released]
        ),
    }
    for name, value in replaced.items():
        monkeypatch.setattr(up, name, value)
    return world


def run(env: Environment) -> up.Outcome:
    return up.run(env, Steps(Progress(io.StringIO())))


def test_a_second_up_skips_the_hosts_and_says_that_nothing_changed(
    env: Environment, world: World
) -> None:
    outcome = run(env)

    assert "hosts" not in world.done
    assert outcome.changed == []


def test_hosts_that_do_not_agree_are_configured_before_the_platform(
    env: Environment, world: World
) -> None:
    world.agrees = False

    outcome = run(env)

    assert world.done.index("hosts") < world.done.index("up platform")
    assert outcome.changed == ["hosts"]


def test_the_first_up_ships_the_default_model_and_no_other(env: Environment, world: World) -> None:
    world.released = []

    outcome = run(env)

    assert [what for what in world.done if what.startswith("ship")] == ["ship digits"]
    assert list(outcome.answers) == ["digits"]


def test_an_environment_with_releases_gets_no_default_model(env: Environment, world: World) -> None:
    world.released = ["wine"]

    run(env)

    assert [what for what in world.done if what.startswith("ship")] == []


def test_what_pulumi_changed_is_told_by_project_and_kind(env: Environment, world: World) -> None:
    world.changes["platform"] = SAME | {"update": 2}

    assert run(env).changed == ["platform: 2 update"]


def test_up_ends_with_a_prediction_of_every_released_model(env: Environment, world: World) -> None:
    world.released = ["digits", "wine"]

    assert list(run(env).answers) == ["digits", "wine"]
    assert world.done[-2:] == ["wait for digits and wine", "ask digits and wine"]


def test_an_account_without_the_vendors_plugins_is_refused_before_anything_is_done(
    world: World,
) -> None:
    account = environment.load("dev")

    with pytest.raises(Refusal, match=r"stand-ins .* never serve an account.*toolchain pin"):
        up.run(account, Steps(Progress(io.StringIO())))

    assert world.done == []


def test_where_releases_stand_in_git_the_first_up_ships_nothing_by_itself(
    env: Environment, world: World
) -> None:
    world.released = []

    outcome = run(env.model_copy(update={"releases": "git"}))

    assert not [what for what in world.done if what.startswith("ship")]
    assert outcome.answers == {}


def test_a_gateway_without_an_address_is_told_and_not_asked(
    env: Environment, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        vars(up)["prediction"], "unseen", lambda _: "models.invalid has no address here"
    )

    outcome = run(env)

    assert outcome.unknown == ["models.invalid has no address here"]
    assert not [what for what in world.done if what.startswith("ask")]
