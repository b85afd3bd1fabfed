"""Which services a run of the models project looks at, and that it looks at no others."""

from collections.abc import Iterator
from typing import Any

import pytest

from ci.pipeline import models, stacks
from ci.pipeline.models import SERVICE
from ci.pipeline.stacks import Changes, Focus
from ci.report import silent
from infra import contract, digests
from infra.environment import Environment
from infra.models import release, wanted
from infra.models.release import Release, Resources
from infra.plugins.kubernetes import drift
from infra.plugins.kubernetes.errors import Unreachable
from tests.infra.models import samples

STACK = "urn:pulumi:test::modelyard-models::pulumi:pulumi:Stack::modelyard-models-test"


def made(name: str, version: str = "1.0.0") -> Release:
    return samples.release(name, version=version, resources=Resources(cpu="10m", memory="16Mi"))


def urn(name: str) -> str:
    return f"urn:pulumi:test::modelyard-models::{SERVICE}::{name}"


class World:
    """The state, what drifted, and the runs that Pulumi was asked for."""

    def __init__(self) -> None:
        self.resources: list[dict[str, Any]] = [{"urn": STACK, "type": "pulumi:pulumi:Stack"}]
        self.unfinished = False
        self.drifted: set[str] = set()
        self.asked: list[str] = []
        self.runs: list[tuple[str, Focus | None]] = []

    def has(self, name: str, key: str | None) -> None:
        outputs = {"path": f"/{name}/"} | ({"key": key} if key else {})
        self.resources += [
            {"urn": urn(name), "type": SERVICE, "parent": STACK, "outputs": outputs},
            {"urn": f"{urn(name)}-rollout", "type": "kubernetes:x/v1:Rollout", "parent": urn(name)},
        ]

    def look(self, cluster: object, resources: list[dict[str, Any]], *, applied: bool) -> set[str]:
        assert not applied
        self.asked += [each["urn"] for each in resources]
        return self.drifted


@pytest.fixture
def world(env: Environment, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()

    class Stack:
        def __init__(self, env: Environment, project: str) -> None:
            assert project == "models"

        def resources(self) -> list[dict[str, Any]]:
            return world.resources

        def unfinished(self) -> bool:
            return world.unfinished

        def up(self, report: object, focus: Focus | None = None) -> Changes:
            world.runs.append(("up", focus))
            return Changes(update=1)

        def preview(self, report: object, focus: Focus | None = None) -> Changes:
            world.runs.append(("preview", focus))
            return Changes(update=1)

    monkeypatch.setattr(stacks, "Stack", Stack)
    monkeypatch.setattr(drift, "drifted", world.look)
    return world


def released(env: Environment, world: World, *names: str) -> None:
    """Services that run as their releases say."""
    for name in names:
        release.write(env, made(name))
        (args,) = wanted.wanted(env, contract.load(env), only=[name])
        world.has(name, args.key)


def focused(world: World) -> Iterator[tuple[str, list[str], str]]:
    for verb, focus in world.runs:
        assert focus is not None, f"{verb} looked at everything"
        yield verb, focus.targets, focus.variables[wanted.ONLY]


def test_when_nothing_differs_pulumi_is_not_run(env: Environment, world: World) -> None:
    released(env, world, "digits", "wine")

    urns = [each["urn"] for each in world.resources]
    assert models.preview(env, silent) == Changes(same=5, unchanged=urns)
    assert models.up(env, silent) == Changes(same=5, unchanged=urns)
    assert world.runs == []
    assert set(world.asked) == {f"{urn('digits')}-rollout", f"{urn('wine')}-rollout"}


def test_a_changed_release_is_looked_at_and_no_other(env: Environment, world: World) -> None:
    released(env, world, "digits", "wine")
    release.write(env, made("wine", "1.1.0"))

    models.preview(env, silent)
    models.up(env, silent)

    assert list(focused(world)) == [
        ("preview", [urn("wine")], "wine"),
        ("up", [urn("wine")], "wine"),
    ]


def test_a_new_a_gone_and_a_drifted_service_are_looked_at(env: Environment, world: World) -> None:
    released(env, world, "digits", "gone", "lost", "wine")
    release.remove(env, "gone")
    release.write(env, made("new"))
    world.drifted = {f"{urn('lost')}-rollout"}

    models.up(env, silent)

    names = ["gone", "lost", "new"]
    assert list(focused(world)) == [("up", [urn(name) for name in names], ",".join(names))]


def test_a_service_whose_last_run_did_not_end_well_is_looked_at(
    env: Environment, world: World
) -> None:
    released(env, world, "digits")
    release.write(env, made("wine"))
    world.has("wine", None)

    models.up(env, silent)

    assert [names for _, _, names in focused(world)] == ["wine"]


def test_a_change_of_the_program_has_every_service_looked_at(
    env: Environment, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    released(env, world, "digits", "wine")
    monkeypatch.setattr(digests, "program", lambda: "another")

    models.up(env, silent)

    assert world.runs == [("up", None)]


def test_after_a_killed_run_everything_is_looked_at(env: Environment, world: World) -> None:
    released(env, world, "digits", "wine")
    world.unfinished = True

    models.up(env, silent, only=["digits"])

    assert world.runs == [("up", None)]


def test_before_there_is_a_cluster_everything_is_previewed(env: Environment, world: World) -> None:
    release.write(env, made("digits"))
    contract.path("test").unlink()

    models.preview(env, silent)

    assert world.runs == [("preview", None)]


@pytest.mark.parametrize("number", [3, 300])
def test_a_ship_is_a_run_for_one_service_whatever_their_number(
    env: Environment, world: World, number: int
) -> None:
    for index in range(number):
        release.write(env, made(f"m{index}"))
        world.has(f"m{index}", "some key")

    models.up(env, silent, only=["m1"])

    assert list(focused(world)) == [("up", [urn("m1")], "m1")]
    assert world.asked == []


def test_what_was_never_there_needs_no_run(env: Environment, world: World) -> None:
    released(env, world, "digits")

    changes = models.up(env, silent, only=["wine"])

    assert (changes.none, changes.same) == (True, 3)
    assert world.runs == []


def test_a_silent_api_server_is_a_failure_with_its_address(
    env: Environment, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    released(env, world, "digits")

    def silence(*_: object, **__: object) -> set[str]:
        raise Unreachable("The API server https://127.0.0.1:1 does not answer.")

    monkeypatch.setattr(drift, "drifted", silence)

    with pytest.raises(stacks.StackError, match="does not answer"):
        models.preview(env, silent)


def test_a_program_that_hears_of_names_wants_only_these(
    env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("digits", "wine"):
        release.write(env, made(name))
    facts = contract.load(env)
    monkeypatch.setenv(wanted.ONLY, "wine,gone")

    assert [one.release.name for one in wanted.wanted(env, facts, wanted.only())] == ["wine"]
    monkeypatch.delenv(wanted.ONLY)
    assert len(wanted.wanted(env, facts, wanted.only())) == 2


def test_the_key_changes_with_whatever_a_services_objects_are_made_from(env: Environment) -> None:
    facts = contract.load(env)
    other = facts.model_copy(
        update={"registry": facts.registry.model_copy(update={"pull": "elsewhere.internal"})}
    )

    keys = [
        wanted.arguments(made("digits"), facts).key,
        wanted.arguments(made("digits", "1.0.1"), facts).key,
        wanted.arguments(made("digits"), other).key,
    ]

    assert len(set(keys)) == 3
    assert wanted.arguments(made("digits"), facts).key == keys[0]
