"""What ModelService registers, sent to a real API server: every field is known and valid there."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ci.toolchain import manifest, store
from infra.contract import Contract
from infra.models import release as releasing
from infra.models.model_service import ModelService
from infra.models.release import Release
from infra.models.wanted import arguments
from tests.infra.conftest import Engine
from tests.infra.plugins.apiserver import ApiServer, running, whole

pytestmark = pytest.mark.apiserver

PLURALS = {
    "HorizontalPodAutoscaler": "horizontalpodautoscalers",
    "IngressRoute": "ingressroutes",
    "Middleware": "middlewares",
    "PodDisruptionBudget": "poddisruptionbudgets",
    "Rollout": "rollouts",
    "ServersTransport": "serverstransports",
    "Service": "services",
    "TraefikService": "traefikservices",
}


def definitions(family: str) -> list[dict[str, Any]]:
    """Custom resource definitions that the toolchain took from a family's module."""
    entry = store.find(family, manifest.load().family[family].key(manifest.wrapper(family)))
    assert entry is not None, f"{family} is not in the store: run `yard up local`, which builds it"
    return [
        document
        for path in sorted((entry.path / "share").iterdir())
        for document in yaml.load_all(path.read_text(), yaml.CSafeLoader)
        if document and document["kind"] == "CustomResourceDefinition"
    ]


def established(server: ApiServer, name: str) -> bool:
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"
    conditions = server.get(path).get("status", {}).get("conditions", [])
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    folder: Path = tmp_path_factory.mktemp("apiserver")
    with running(folder) as started:
        started.namespace("models")
        made = [
            started.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", document)
            for family in ("traefik", "argo-rollouts")
            for document in definitions(family)
        ]
        names = [one["metadata"]["name"] for one in made]
        for _ in range(600):
            if all(established(started, name) for name in names):
                break
            time.sleep(0.1)
        else:
            pytest.fail(f"the API server does not serve {names} after a minute")
        yield started


def collection(inputs: dict[str, Any]) -> str:
    version = inputs["apiVersion"]
    root = "/api" if "/" not in version else "/apis"
    return f"{root}/{version}/namespaces/models/{PLURALS[inputs['kind']]}"


def test_every_object_of_a_canary_is_taken_without_an_unknown_field(
    server: ApiServer, engine: Engine, release: Release, facts: Contract
) -> None:
    new = Release(**{**release.model_dump(), "version": "1.1.0", "pool": "gpu", "gpus": 1})
    canary = releasing.following(release, new, 20)
    engine.run(lambda: ModelService("digits", arguments(canary, facts)))
    objects = [whole(one.inputs) for one in engine.registered if "kind" in one.inputs]
    assert {one["kind"] for one in objects} == set(PLURALS)

    for one in objects:
        server.create(f"{collection(one)}?fieldValidation=Strict", one)

    rollout = server.get("/apis/argoproj.io/v1alpha1/namespaces/models/rollouts/digits")
    container = rollout["spec"]["template"]["spec"]["containers"][0]
    assert container["lifecycle"]["preStop"]["sleep"]["seconds"] > 0
    assert rollout["spec"]["strategy"]["canary"]["steps"] == [{"setWeight": 20}, {"pause": {}}]


def test_the_pods_are_allowed_in_a_restricted_namespace(
    server: ApiServer, engine: Engine, release: Release, facts: Contract
) -> None:
    server.create(
        "/api/v1/namespaces",
        {
            "metadata": {
                "name": "strict",
                "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
            }
        },
    )
    server.create("/api/v1/namespaces/strict/serviceaccounts", {"metadata": {"name": "model"}})
    engine.run(lambda: ModelService("digits", arguments(release, facts)))
    pod = whole(engine.one("Rollout")["spec"]["template"])

    pod = {**pod, "metadata": {**pod["metadata"], "generateName": "digits-"}}
    made = server.create("/api/v1/namespaces/strict/pods?fieldValidation=Strict", pod)
    assert made["spec"]["containers"][0]["image"].endswith(release.digest)

    pod["spec"]["containers"][0].pop("securityContext")
    status, answer = server.ask("POST", "/api/v1/namespaces/strict/pods", pod)
    assert status == 403
    assert "restricted" in answer["message"]
