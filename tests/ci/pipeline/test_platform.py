"""When the platform's program runs, and when a look at the cluster is enough."""

import copy
from typing import Any

import pytest

from ci.pipeline import platform, stacks
from ci.pipeline.events import Violation
from ci.pipeline.stacks import Changes
from ci.report import silent
from infra import contract, digests
from infra.environment import Environment
from infra.plugins.kubernetes import drift
from infra.plugins.kubernetes.errors import Unreachable

OBJECT = "urn:pulumi:test::modelyard::kubernetes:core/v1:ConfigMap::settings"


class World:
    """The state, what drifted, what a run finds, and the runs that Pulumi was asked for."""

    def __init__(self) -> None:
        self.resources: list[dict[str, Any]] = [
            {"urn": "urn:stack", "type": "pulumi:pulumi:Stack"},
            {"urn": OBJECT, "type": "kubernetes:core/v1:ConfigMap", "inputs": {"data": {"a": "b"}}},
        ]
        self.unfinished = False
        self.drifted: set[str] = set()
        self.found = Changes(same=2)
        self.runs: list[str] = []


@pytest.fixture
def env(env: Environment) -> Environment:
    """The environment of these tests, with a credential."""
    folder = contract.load(env).credentials
    folder.mkdir()
    (folder / "token").write_text("old")
    return env


@pytest.fixture
def world(env: Environment, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world whose platform an `up` has just made."""
    world = World()

    class Stack:
        def __init__(self, env: Environment, project: str) -> None:
            assert project == "platform"

        def resources(self) -> list[dict[str, Any]]:
            return copy.deepcopy(world.resources)

        def unfinished(self) -> bool:
            return world.unfinished

        def up(self, report: object) -> Changes:
            world.runs.append("up")
            return world.found

        def preview(self, report: object) -> Changes:
            world.runs.append("preview")
            return world.found

    def look(cluster: object, resources: list[dict[str, Any]], *, applied: bool) -> set[str]:
        assert applied
        assert [each["urn"] for each in resources] == [OBJECT]
        return world.drifted

    monkeypatch.setattr(stacks, "Stack", Stack)
    monkeypatch.setattr(drift, "drifted", look)
    platform.up(env, silent)
    assert world.runs == ["up"]
    world.runs.clear()
    return world


def test_when_nothing_changed_pulumi_is_not_run(env: Environment, world: World) -> None:
    nothing = Changes(same=2, unchanged=["urn:stack", OBJECT])
    assert platform.preview(env, silent) == nothing
    assert platform.up(env, silent) == nothing
    assert world.runs == []


@pytest.mark.parametrize("what", ["program", "environment", "contract", "token", "state", "drift"])
def test_whatever_a_run_reads_has_it_run_again_when_it_changed(
    env: Environment, world: World, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = contract.load(env)
    if what == "program":
        monkeypatch.setattr(digests, "program", lambda: "another")
    elif what == "environment":
        env = env.model_copy(update={"registry_gib": env.registry_gib + 1})
    elif what == "contract":
        changed = facts.model_copy(update={"pod_cidr": "10.99.0.0/16"})
        contract.path("test").write_text(changed.model_dump_json())
    elif what == "token":
        (facts.credentials / "token").write_text("new")
    elif what == "state":
        world.resources[1]["inputs"]["data"]["a"] = "c"  # as a refresh leaves it
    else:
        world.drifted = {OBJECT}

    platform.preview(env, silent)
    platform.up(env, silent)

    # After that `up`, only what the cluster still has otherwise is looked at again.
    assert world.runs == ["preview", "up"] if what == "drift" else ["preview"]


def test_a_preview_that_finds_changes_does_not_settle_anything(
    env: Environment, world: World
) -> None:
    (contract.load(env).credentials / "token").write_text("new")
    world.found = Changes(update=1, same=1)

    platform.preview(env, silent)
    platform.preview(env, silent)

    assert world.runs == ["preview", "preview"]


@pytest.mark.parametrize(
    "found",
    [Changes(same=2, warnings=["soon"]), Changes(same=2, violations=[Violation("u", "p", "t")])],
    ids=["warned", "refused"],
)
def test_what_is_to_be_said_is_said_each_time(
    env: Environment, world: World, found: Changes
) -> None:
    (contract.load(env).credentials / "token").write_text("new")
    world.found = found

    platform.up(env, silent)
    platform.up(env, silent)

    assert world.runs == ["up", "up"]


def test_a_killed_run_is_finished(env: Environment, world: World) -> None:
    world.unfinished = True

    platform.up(env, silent)

    assert world.runs == ["up"]


def test_what_the_engine_notes_of_its_own_work_is_no_change(env: Environment, world: World) -> None:
    world.resources[1]["modified"] = "2026-01-01T00:00:00Z"

    assert platform.preview(env, silent).none
    assert world.runs == []


def test_a_damaged_record_is_as_good_as_none(env: Environment, world: World) -> None:
    (contract.path("test").parent / "platform.json").write_text("{")

    platform.preview(env, silent)

    assert world.runs == ["preview"]


def test_before_a_cluster_is_known_everything_is_looked_at(env: Environment, world: World) -> None:
    contract.path("test").unlink()

    platform.preview(env, silent)

    assert world.runs == ["preview"]


def test_a_cluster_that_does_not_answer_is_an_error(
    env: Environment, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(*_: object, **__: object) -> set[str]:
        raise Unreachable("nobody answers")

    monkeypatch.setattr(drift, "drifted", nobody)

    with pytest.raises(stacks.StackError, match="nobody answers"):
        platform.preview(env, silent)
