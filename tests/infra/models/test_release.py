"""Releases: what may stand in one, and how it follows from the one before."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from infra import environment, places, refusal
from infra.environment import Environment
from infra.models import release as releasing
from infra.models.release import Release, Serving


def changed(release: Release, **values: Any) -> Release:
    return Release(**{**release.model_dump(), **values})


def other(release: Release, version: str, letter: str) -> Release:
    return changed(release, version=version, digest="sha256:" + letter * 64)


def test_a_written_release_is_read_back_as_it_was(here: Environment, release: Release) -> None:
    path = releasing.write(here, release)

    assert path == places.state("local") / "releases" / "digits.yaml"
    assert releasing.read(here, "digits") == release
    assert releasing.releases(here) == [release]
    assert [file.name for file in path.parent.iterdir()] == ["digits.yaml"]


def test_releases_stand_in_the_order_of_their_names(here: Environment, release: Release) -> None:
    for name in ("wine", "digits", "a"):
        releasing.write(here, changed(release, name=name))

    assert [one.name for one in releasing.releases(here)] == ["a", "digits", "wine"]


def test_an_environment_without_releases_has_none(here: Environment) -> None:
    assert releasing.releases(here) == []
    assert releasing.read(here, "digits") is None


def test_a_shared_environment_keeps_its_releases_in_git(here: Environment) -> None:
    shared = here.model_copy(update={"releases": "git", "name": "prod"})

    assert releasing.folder(shared) == places.REPOSITORY / "bentos" / "releases" / "prod"


def test_the_environments_of_one_machine_keep_theirs_out_of_git() -> None:
    assert environment.load("local").releases == "state"
    assert environment.load("test").releases == "state"


def test_a_removed_release_is_gone_and_may_be_removed_again(
    here: Environment, release: Release
) -> None:
    releasing.write(here, release)
    releasing.remove(here, "digits")
    releasing.remove(here, "digits")

    assert releasing.releases(here) == []


UNSOUND: list[tuple[dict[str, Any], str]] = [
    ({"colour": "red"}, "colour"),
    ({"version": "1.0"}, "version"),
    ({"digest": "sha256:abc"}, "digest"),
    ({"digest": "digits:latest"}, "digest"),
    ({"weight": 0}, "weight"),
    ({"weight": 100}, "weight"),
    ({"weight": 20}, "a canary needs a previous version"),
    ({"replicas": {"min": 3, "max": 2}}, "replicas.min must not be above"),
    ({"replicas": {"min": 0, "max": 2}}, "replicas.min"),
    ({"resources": {"cpu": "0", "memory": "1Gi"}}, "resources.cpu"),
    ({"resources": {"cpu": "1", "memory": "1G"}}, "resources.memory"),
    ({"pool": "gpu"}, "a release on the gpu pool has gpus"),
    ({"gpus": 1}, "a release on the gpu pool has gpus"),
    ({"pool": "control"}, "pool"),
    ({"previous": {"version": "1.0.0"}}, "previous.digest"),
]


@pytest.mark.parametrize(("values", "told"), UNSOUND, ids=[str(values) for values, _ in UNSOUND])
def test_an_unsound_release_is_refused_with_its_file_and_key(
    here: Environment, release: Release, values: dict[str, Any], told: str
) -> None:
    path = releasing.write(here, release)
    path.write_text(yaml.safe_dump({**release.model_dump(mode="json"), **values}))

    with pytest.raises(refusal.Refusal) as refused:
        releasing.read(here, "digits")

    assert told in str(refused.value)
    assert str(path) in str(refused.value)


def test_a_file_with_another_models_name_in_it_is_refused(
    here: Environment, release: Release
) -> None:
    path = releasing.write(here, release)
    path.rename(path.with_name("wine.yaml"))

    with pytest.raises(refusal.Refusal, match=r"name is 'digits'.*Set it to wine"):
        releasing.releases(here)


@pytest.mark.parametrize("name", ["../digits", "Digits", "", "a" * 51, "1st", "a_b", "a\n"])
def test_a_name_that_no_model_can_have_is_refused(here: Environment, name: str) -> None:
    with pytest.raises(refusal.Refusal, match="at most 50 small letters"):
        releasing.read(here, name)


def test_the_first_release_gets_all_requests_whatever_weight_was_asked_for(
    release: Release,
) -> None:
    first = releasing.following(None, release, 20)

    assert first.weight is None
    assert first.previous is None


def test_a_canary_remembers_what_was_stable(release: Release) -> None:
    second = releasing.following(release, other(release, "1.1.0", "b"), 20)

    assert second.weight == 20
    assert second.previous == release.serving


def test_a_canary_over_a_canary_keeps_what_was_stable(release: Release) -> None:
    second = releasing.following(release, other(release, "1.1.0", "b"), 20)
    third = releasing.following(second, other(release, "1.2.0", "c"), 10)

    assert third.previous == release.serving
    assert third.weight == 10


def test_shipping_the_stable_version_over_a_canary_ends_the_canary(release: Release) -> None:
    second = releasing.following(release, other(release, "1.1.0", "b"), 20)
    back = releasing.following(second, release, 20)

    assert back.weight is None
    assert back.previous is None
    assert back.serving == release.serving


def test_shipping_what_is_stable_already_changes_nothing(release: Release) -> None:
    second = releasing.following(release, other(release, "1.1.0", "b"), None)

    assert releasing.following(second, other(release, "1.1.0", "b"), 20) == second


def test_other_resources_make_another_serving(release: Release) -> None:
    larger = changed(release, resources={"cpu": "1", "memory": "1Gi"})

    assert releasing.following(release, larger, 20).previous == release.serving


def test_a_promoted_canary_is_settled_and_keeps_the_way_back(
    here: Environment, release: Release
) -> None:
    releasing.write(here, releasing.following(release, other(release, "1.1.0", "b"), 20))

    settled = releasing.settle(here, "digits")

    assert settled == releasing.read(here, "digits")
    assert settled.weight is None
    assert settled.version == "1.1.0"
    assert settled.previous == release.serving


def test_an_aborted_canary_goes_back_to_what_was_stable(
    here: Environment, release: Release
) -> None:
    releasing.write(here, releasing.following(release, other(release, "1.1.0", "b"), 20))

    assert releasing.abandon(here, "digits") == release
    assert releasing.read(here, "digits") == release


def test_a_release_without_a_version_before_it_cannot_be_abandoned(
    here: Environment, release: Release
) -> None:
    releasing.write(here, release)

    with pytest.raises(refusal.Refusal, match="no version to go back to"):
        releasing.abandon(here, "digits")


@pytest.mark.parametrize("act", [releasing.settle, releasing.abandon])
def test_a_name_that_was_never_shipped_is_refused_with_the_known_ones(
    here: Environment, release: Release, act: Any
) -> None:
    releasing.write(here, release)

    with pytest.raises(refusal.Refusal, match=r"'wine'.*Known names: digits"):
        act(here, "wine")


def test_an_interrupted_write_leaves_the_old_release(
    here: Environment, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    releasing.write(here, release)

    def full(*_: object, **__: object) -> str:
        raise OSError("no space left")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="no space left"):
        releasing.write(here, other(release, "1.1.0", "b"))

    assert releasing.read(here, "digits") == release
    assert [file.name for file in releasing.folder(here).iterdir()] == ["digits.yaml"]


def test_serving_is_the_part_of_a_release_that_pods_depend_on(release: Release) -> None:
    assert type(release.serving) is Serving
    assert changed(release, replicas={"min": 2, "max": 2}).serving == release.serving
