"""What somebody changed on the cluster is seen and put back; a ship without a registry."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults.terminal import Watched
from tests.faults.victims import pods
from tests.system.house import NAME, House, Kubernetes, released, told, until

pytestmark = pytest.mark.faults

DELETED = {
    "platform": "/api/v1/namespaces/gateway/services/doorkeeper",
    "models": "/apis/policy/v1/namespaces/models/poddisruptionbudgets/digits",
}
EDITED = "/apis/traefik.io/v1alpha1/namespaces/models/middlewares/digits-retry"
REGISTRY = "/apis/apps/v1/namespaces/registry/deployments/registry"


def changes(house: House) -> dict[str, int]:
    """What `yard preview` counts, without what stays the same."""
    document: dict[str, int] = json.loads(house.done("preview", NAME, "--json"))["changes"]
    assert document.pop("same") > 0
    return {kind: number for kind, number in document.items() if number}


def test_deleted_and_edited_objects_are_seen_by_a_preview_and_repaired_by_up(
    house: House, kubernetes: Kubernetes
) -> None:
    before = {path: kubernetes.get(path) for path in DELETED.values()}
    whole = kubernetes.get(EDITED)["metadata"]["labels"]
    for path in DELETED.values():
        kubernetes.delete(path)
    kubernetes.patch(EDITED, {"metadata": {"labels": {"app.kubernetes.io/name": None}}})

    # Compared with the cluster, not with the state: an object that is gone is one to update.
    assert changes(house) == {"update": 3}
    assert kubernetes.find(DELETED["models"]) is None, "a preview changes nothing"

    said = house.done("up", NAME)

    assert "platform: 1 update, models: 2 update" in said
    for path, old in before.items():
        new = kubernetes.get(path)
        assert new["metadata"]["uid"] != old["metadata"]["uid"]
        assert new["metadata"]["labels"] == old["metadata"]["labels"]
    assert kubernetes.get(EDITED)["metadata"]["labels"] == whole
    assert changes(house) == {}


def release_files(house: House) -> dict[str, bytes]:
    folder = released(house, "digits").parent
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def no_registry(kubernetes: Kubernetes) -> Iterator[None]:
    """The registry without a pod; afterwards it is back."""
    scale(kubernetes, 0)
    until("the registry is gone", lambda: not pods(kubernetes, "registry", ""))
    yield
    bring_back(kubernetes)


def scale(kubernetes: Kubernetes, replicas: int) -> None:
    kubernetes.patch(f"{REGISTRY}/scale", {"spec": {"replicas": replicas}})


def bring_back(kubernetes: Kubernetes) -> None:
    scale(kubernetes, 1)
    until(
        "the registry is ready again",
        lambda: kubernetes.get(REGISTRY)["status"].get("readyReplicas") == 1,
    )


@pytest.mark.system
def test_a_ship_without_a_registry_says_so_and_releases_nothing(
    house: House, no_registry: None
) -> None:
    before = (release_files(house), house.versions("digits"))

    result = house.yard("ship", "digits", "--to", NAME, "--version", "1.0.8")

    assert result.returncode == 1, told(result)
    assert "was not pushed" in result.stderr
    assert f"The registry does not answer. Run `yard up {NAME}`, then ship again." in result.stderr
    assert "Traceback" not in result.stderr
    assert (release_files(house), house.versions("digits")) == before


def test_the_remedy_that_it_names_brings_the_registry_back(
    house: House, kubernetes: Kubernetes
) -> None:
    scale(kubernetes, 0)
    until("the registry is gone", lambda: not pods(kubernetes, "registry", ""))
    try:
        said = house.done("up", NAME)

        assert "platform: 1 update" in said
        assert kubernetes.get(REGISTRY)["status"].get("readyReplicas") == 1
    finally:
        bring_back(kubernetes)


@pytest.fixture
def loses_its_registry(
    house: House, kubernetes: Kubernetes
) -> Iterator[tuple[dict[str, Any], str]]:
    """A ship whose registry dies between the push and the pull: what was before, what it said."""
    before = {"files": release_files(house), "versions": house.versions("digits")}
    try:
        with Watched("ship", "digits", "--to", NAME, "--version", "1.0.9") as ship:
            ship.until_says(r"release digits")
            scale(kubernetes, 0)
            for pod in pods(kubernetes, "registry", ""):
                kubernetes.delete(
                    f"/api/v1/namespaces/registry/pods/{pod['metadata']['name']}"
                    "?gracePeriodSeconds=0"
                )
            code = ship.finish(seconds=600)
        assert code == 1, ship.tail()
        yield before, ship.said
    finally:
        bring_back(kubernetes)


def test_a_registry_that_dies_before_the_pull_leaves_nothing_half_released(
    house: House, kubernetes: Kubernetes, loses_its_registry: tuple[dict[str, Any], str]
) -> None:
    before, said = loses_its_registry

    assert "is not rolled out" in said
    assert "ImagePullBackOff" in said or "ErrImagePull" in said
    assert release_files(house) == before["files"]
    until("what ran before serves alone", lambda: house.versions("digits") == before["versions"])
