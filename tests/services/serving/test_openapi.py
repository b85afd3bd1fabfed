from typing import Any

import httpx
import jsonschema
import pytest
from openapi_spec_validator import validate

from tests.services.serving.conftest import VERSION, picture


@pytest.fixture
def document(client: httpx.Client) -> dict[str, Any]:
    response = client.get("/docs.json")
    assert response.status_code == 200
    return dict(response.json())


def schema(document: dict[str, Any], name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}", "components": document["components"]}


def test_the_document_is_valid_openapi(document: dict[str, Any]) -> None:
    validate(document)

    assert document["info"] == {
        "title": "tiny",
        "version": VERSION,
        "description": "Says which row of a picture is the brightest.",
    }


def test_the_hot_route_and_the_pages_are_described(document: dict[str, Any]) -> None:
    assert set(document["paths"]) == {
        "/v1/predict", "/livez", "/healthz", "/readyz", "/metrics",
    }  # fmt: skip
    assert set(document["paths"]["/v1/predict"]) == {"post"}


def test_requests_and_answers_are_as_described(
    client: httpx.Client, document: dict[str, Any]
) -> None:
    request = {"images": [picture(5)]}
    jsonschema.validate(request, schema(document, "Request"))

    answer = client.post("/v1/predict", json=request)
    refusal = client.post("/v1/predict", json={})

    jsonschema.validate(answer.json(), schema(document, "Answer"))
    jsonschema.validate(refusal.json(), schema(document, "Fault"))
    described = document["paths"]["/v1/predict"]["post"]["responses"]
    assert {str(answer.status_code), str(refusal.status_code)} <= set(described)


@pytest.mark.parametrize(
    "request_",
    [{"images": []}, {"images": [[[17] * 8] * 8]}, {"images": [[[0] * 7] * 8]}, {"x": 1}],
)
def test_what_the_document_forbids_the_service_refuses(
    client: httpx.Client, document: dict[str, Any], request_: dict[str, Any]
) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(request_, schema(document, "Request"))

    assert client.post("/v1/predict", json=request_).status_code == 400
