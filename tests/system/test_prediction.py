"""A prediction is a true one: from the image that serves, right, documented, counted, and absent
when nothing serves."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openapi_spec_validator import validate

from infra.platform import spaces
from infra.platform.gateway import PORT
from tests.system.house import House, Kubernetes, until

pytestmark = pytest.mark.system

PREDICT = "/digits/v1/predict"
PODS = "/api/v1/namespaces/models/pods"
ROLLOUT = "/apis/argoproj.io/v1alpha1/namespaces/models/rollouts/digits"
SELECTOR = "modelyard.dev/model=digits"


def serving_digests(kubernetes: Kubernetes) -> set[str]:
    """Digests of the images that the ready pods of digits run, as their kubelet tells them."""
    statuses = [
        status
        for pod in kubernetes.items(PODS, labelSelector=SELECTOR)
        if "deletionTimestamp" not in pod["metadata"]
        for status in pod["status"]["containerStatuses"]
        if status["ready"]
    ]
    return {status["imageID"].rsplit("@", 1)[1] for status in statuses}


def test_the_response_has_the_promised_shape(
    gateway: httpx.Client, example: dict[str, Any]
) -> None:
    response = gateway.post(PREDICT, json={"images": example["images"]})

    assert response.status_code == 200, response.text
    document = response.json()
    assert set(document) == {"predictions", "model"}
    assert set(document["model"]) == {"name", "version", "digest"}
    assert document["model"]["name"] == "digits"
    assert len(document["predictions"]) == len(example["images"])
    for prediction in document["predictions"]:
        assert set(prediction) == {"label", "probability"}
        assert type(prediction["label"]) is int
        assert 0 <= prediction["label"] <= 9
        assert 0.1 <= prediction["probability"] <= 1.0


def test_the_digest_in_the_response_is_that_of_the_image_that_serves(
    gateway: httpx.Client, kubernetes: Kubernetes, example: dict[str, Any]
) -> None:
    response = gateway.post(PREDICT, json={"images": example["images"][:1]})

    assert serving_digests(kubernetes) == {response.json()["model"]["digest"]}


def test_the_version_and_digest_in_the_response_are_those_of_yard_status(
    gateway: httpx.Client, house: House, example: dict[str, Any]
) -> None:
    model = gateway.post(PREDICT, json={"images": example["images"][:1]}).json()["model"]

    assert [(v["version"], v["digest"], v["weight"]) for v in house.versions("digits")] == [
        (model["version"], model["digest"], 100)
    ]


def test_every_image_of_the_example_is_read_right(
    gateway: httpx.Client, example: dict[str, Any]
) -> None:
    response = gateway.post(PREDICT, json={"images": example["images"]})

    assert [p["label"] for p in response.json()["predictions"]] == example["labels"]


def test_sixty_four_images_are_taken_and_one_by_one_they_read_the_same(
    gateway: httpx.Client, example: dict[str, Any]
) -> None:
    images = (example["images"] * 64)[:64]
    together = gateway.post(PREDICT, json={"images": images}).json()["predictions"]
    alone = [
        gateway.post(PREDICT, json={"images": [image]}).json()["predictions"][0]
        for image in example["images"]
    ]

    assert len(together) == 64
    for one, many in zip(alone, together, strict=False):
        assert one["label"] == many["label"]
        assert one["probability"] == pytest.approx(many["probability"], abs=1e-4)


@pytest.mark.parametrize("path", ["/digits/healthz", "/digits/readyz"])
def test_health_needs_no_token(house: House, path: str) -> None:
    with house.gateway(token=None) as anonymous:
        assert anonymous.get(path).status_code == 200


def test_the_openapi_document_is_valid_and_lists_the_route(gateway: httpx.Client) -> None:
    response = gateway.get("/digits/docs.json")

    assert response.status_code == 200, response.text
    document = response.json()
    validate(document)
    operation = document["paths"]["/v1/predict"]["post"]
    assert "application/json" in operation["requestBody"]["content"]
    assert "200" in operation["responses"]


def test_predictions_are_counted_by_prometheus(
    gateway: httpx.Client, kubernetes: Kubernetes, example: dict[str, Any]
) -> None:
    def counted() -> float:
        query = 'sum(modelyard_requests_total{model="digits", route="/v1/predict", code="200"})'
        path = "/api/v1/namespaces/monitoring/services/http:prometheus:9090/proxy/api/v1/query"
        result = kubernetes.get(path, query=query)["data"]["result"]
        return float(result[0]["value"][1]) if result else 0.0

    before = counted()
    for _ in range(20):
        gateway.post(PREDICT, json={"images": example["images"][:1]}).raise_for_status()

    until("Prometheus has counted 20 more requests", lambda: counted() >= before + 20, seconds=90)


def heard(kubernetes: Kubernetes) -> bool:
    """Whether each pod of the gateway finds a pod of digits.

    They hear of pods one by one, within some two seconds, and a new connection may meet any.
    """
    return kubernetes.each_answers(spaces.TRAEFIK, PORT, "/digits/readyz", scheme="https:")


@pytest.fixture
def scaled_to_zero(kubernetes: Kubernetes) -> Iterator[None]:
    """digits without a pod; afterwards as many as before, and ready."""
    before = kubernetes.get(ROLLOUT)["spec"]["replicas"]
    kubernetes.patch(f"{ROLLOUT}/scale", {"spec": {"replicas": 0}})
    try:
        until(
            "no pod of digits is left",
            lambda: not kubernetes.items(PODS, labelSelector=SELECTOR),
        )
        yield
    finally:
        kubernetes.patch(f"{ROLLOUT}/scale", {"spec": {"replicas": before}})
        until(
            f"{before} pods of digits are ready again",
            lambda: kubernetes.get(ROLLOUT)["status"].get("availableReplicas", 0) >= before,
        )
        until("every pod of the gateway knows of them", lambda: heard(kubernetes), seconds=60)


def test_with_the_rollout_at_zero_there_is_no_prediction_but_a_503(
    gateway: httpx.Client, scaled_to_zero: None, example: dict[str, Any]
) -> None:
    response = gateway.post(PREDICT, json={"images": example["images"][:1]})

    assert response.status_code == 503, response.text
    assert set(response.json()) == {"error"}
    assert set(response.json()["error"]) == {"code", "message", "remedy"}


def test_after_the_rollout_came_back_predictions_do(
    gateway: httpx.Client, example: dict[str, Any]
) -> None:
    def right() -> bool:
        response = gateway.post(PREDICT, json={"images": example["images"]})
        return (
            response.status_code == 200
            and [p["label"] for p in response.json()["predictions"]] == example["labels"]
        )

    until("digits predicts again", right, seconds=60)
