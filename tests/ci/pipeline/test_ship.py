"""The order of a ship, with the steps around it replaced by ones that record and fail on demand."""

import io
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ci.pipeline import ship
from ci.pipeline.steps import Steps
from ci.yard.progress import Progress
from infra import environment
from infra.environment import Environment
from infra.models import release
from infra.models.release import Release, Resources

OLD, NEW = "sha256:" + "a" * 64, "sha256:" + "b" * 64
REPORT = "sha256:" + "c" * 64


class World:
    """What happened, in order, and what is to fail."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.fails: set[str] = set()

    def act(self, what: str) -> None:
        if what in self.fails:
            raise RuntimeError(f"{what} failed")
        self.done.append(what)


def made(digest: str, version: str) -> Release:
    resources = Resources(cpu="500m", memory="512Mi")
    return Release(
        name="digits", version=version, digest=digest, report=REPORT, resources=resources
    )


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return environment.load("test")


@pytest.fixture
def world(env: Environment, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()

    def up(env: Environment, report: object, *, only: list[str]) -> None:
        assert only == ["digits"], "a ship touches its own model alone"
        current = release.read(env, "digits")
        world.act(f"up models with {current.version if current else 'nothing'}")

    def push(*_: object) -> str:
        world.act("push")
        return NEW

    replaced: dict[str, Any] = {
        "contract": SimpleNamespace(load=lambda _: None),
        "bento": SimpleNamespace(load=lambda _: None),
        "build": SimpleNamespace(
            build=lambda *_, **__: world.act("build"),
            push=push,
            release=lambda built, digest: made(digest, "2.0.0"),
        ),
        "push": SimpleNamespace(access=lambda *_: nullcontext([])),
        "stacks": SimpleNamespace(prepare=lambda _: None),
        "models": SimpleNamespace(up=up),
        "rollouts": SimpleNamespace(wait=lambda *_: world.act("wait")),
        "prediction": SimpleNamespace(proven=lambda *_: world.act("predict")),
    }
    for name, value in replaced.items():
        monkeypatch.setattr(ship, name, value)
    return world


def run(env: Environment, canary: int | None = None) -> ship.Shipped:
    steps = Steps(Progress(io.StringIO()))
    return ship.run(env, "digits", version=None, canary=canary, steps=steps)


def test_a_ship_pushes_before_it_releases_and_predicts_last(env: Environment, world: World) -> None:
    run(env)

    assert world.done == ["build", "push", "up models with 2.0.0", "wait", "predict"]


def test_the_release_file_names_what_was_pushed_and_what_was_before(
    env: Environment, world: World
) -> None:
    release.write(env, made(OLD, "1.0.0"))

    run(env, canary=20)

    written = release.read(env, "digits")
    assert written is not None
    assert (written.digest, written.weight) == (NEW, 20)
    assert written.previous is not None
    assert written.previous.digest == OLD


def test_a_push_that_fails_leaves_the_release_as_it_was(env: Environment, world: World) -> None:
    release.write(env, made(OLD, "1.0.0"))
    world.fails = {"push"}

    with pytest.raises(RuntimeError, match="push failed"):
        run(env)

    assert release.read(env, "digits") == made(OLD, "1.0.0")
    assert world.done == ["build"]


def test_a_roll_out_that_fails_puts_back_what_ran_before(env: Environment, world: World) -> None:
    release.write(env, made(OLD, "1.0.0"))
    world.fails = {"wait"}

    with pytest.raises(RuntimeError, match="wait failed"):
        run(env)

    assert release.read(env, "digits") == made(OLD, "1.0.0")
    assert world.done[-2:] == ["up models with 2.0.0", "up models with 1.0.0"]


def test_a_first_roll_out_that_fails_leaves_no_release(env: Environment, world: World) -> None:
    world.fails = {"wait"}

    with pytest.raises(RuntimeError, match="wait failed"):
        run(env)

    assert release.read(env, "digits") is None
    assert world.done[-1] == "up models with nothing"


def test_when_putting_back_fails_too_both_failures_are_told(env: Environment, world: World) -> None:
    release.write(env, made(OLD, "1.0.0"))
    world.fails = {"up models with 2.0.0", "up models with 1.0.0"}

    with pytest.raises(ship.ShipError, match=r"with 2\.0\.0 failed\n(.|\n)*with 1\.0\.0 failed"):
        run(env)

    assert release.read(env, "digits") == made(OLD, "1.0.0")
