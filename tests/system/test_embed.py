"""embed is shipped to the environment, and answers OpenAI's own client through the gateway."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from ci.pipeline import prediction
from tests.system.house import NAME, House, Kubernetes, told, withdraw

pytestmark = pytest.mark.system

ROUTE = "/embed/v1/embeddings"


@pytest.fixture(scope="module")
def shipped(house: House, kubernetes: Kubernetes) -> Iterator[dict[str, Any]]:
    """embed by the documents' command; afterwards it is gone."""
    result = house.yard("ship", "embed", "--to", NAME)
    assert result.returncode == 0, told(result)
    yield house.versions("embed")[0]
    withdraw(house, kubernetes, "embed")


@pytest.fixture(scope="module")
def client(house: House, shipped: dict[str, Any]) -> Iterator[openai.OpenAI]:
    """OpenAI's client, with the gateway's address, the environment's CA and its token."""
    with openai.DefaultHttpxClient(verify=house.trust, trust_env=False) as http:
        url = f"{house.contract.gateway.url}/embed/v1"
        yield openai.OpenAI(base_url=url, api_key=house.token, http_client=http)


def test_openais_client_finds_the_nearest_text(client: openai.OpenAI) -> None:
    texts = prediction.example("embed")["input"]

    found = client.embeddings.create(model="embed", input=texts)

    first, *others = (one.embedding for one in found.data)
    cosines = [sum(a * b for a, b in zip(first, other, strict=True)) for other in others]
    nearest = [texts[1 + at] for at in sorted(range(len(others)), key=lambda at: -cosines[at])]
    assert len(first) == 384
    assert set(nearest[:2]) == {texts[2], texts[4]}


def test_the_answer_tells_the_digest_that_yard_status_tells(
    gateway: httpx.Client, shipped: dict[str, Any]
) -> None:
    answer = gateway.post(ROUTE, json={"model": "embed", "input": "hello"}).json()

    facts = answer["modelyard"]
    assert (facts["version"], facts["digest"]) == (shipped["version"], shipped["digest"])


def test_long_texts_are_cut_and_the_answer_says_which(
    gateway: httpx.Client, shipped: dict[str, Any]
) -> None:
    texts = ["word " * 1600, "word", "word " * 1600]

    answer = gateway.post(ROUTE, json={"model": "embed", "input": texts})

    assert answer.status_code == 200, answer.text
    assert answer.json()["modelyard"]["truncated"] == [0, 2]


def test_a_bad_request_is_refused_in_the_one_form_without_a_trace(
    gateway: httpx.Client, shipped: dict[str, Any]
) -> None:
    for body in ({}, {"model": "large", "input": "x"}, {"model": "embed", "input": [1, 2]}):
        response = gateway.post(ROUTE, json=body)

        assert response.status_code in (400, 404), response.text
        assert set(response.json()) == {"error"}
        assert set(response.json()["error"]) == {"code", "message", "remedy"}


def test_yard_predict_shows_the_nearest_texts(house: House, shipped: dict[str, Any]) -> None:
    said = house.done("predict", "embed", "--in", NAME)
    document = json.loads(house.done("predict", "embed", "--in", NAME, "--json"))

    assert "nearest to: How do I reset my password?" in said
    assert shipped["digest"] in said
    assert document["modelyard"]["digest"] == shipped["digest"]
