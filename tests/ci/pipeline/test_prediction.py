import json

import httpx
import pytest

from ci.pipeline.prediction import Answer, Client, PredictionError, example, unseen
from infra import contract, environment
from infra.refusal import Refusal

BASE = "https://127.0.0.1:8443/digits"
DOCUMENT: dict[str, object] = {"paths": {"/readyz": {"get": {}}, "/v1/guess": {"post": {}}}}


def client(status: int, content: bytes) -> Client:
    """A client of a gateway that answers each POST so, at the one path that takes it."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            assert request.url == f"{BASE}/docs.json"
            return httpx.Response(200, json=DOCUMENT)
        assert request.url == f"{BASE}/v1/guess"
        return httpx.Response(status, content=content)

    return Client(BASE, httpx.Client(transport=httpx.MockTransport(answer)))


def test_a_request_goes_to_the_path_that_the_model_says_takes_it() -> None:
    assert client(200, b'{"model": {}}').ask({}).body == {"model": {}}


def test_an_answer_tells_version_and_digest_of_what_answered() -> None:
    answer = Answer(
        body={"model": {"name": "digits", "version": "1.0.0", "digest": "sha256:0"}}, milliseconds=1
    )

    assert (answer.version, answer.digest) == ("1.0.0", "sha256:0")


def test_an_answer_in_openais_form_has_the_facts_beside_it() -> None:
    facts = {"name": "embed", "version": "1.0.0", "digest": "sha256:0"}
    answer = Answer(body={"model": "embed", "modelyard": facts}, milliseconds=1)

    assert (answer.version, answer.digest) == ("1.0.0", "sha256:0")


def test_an_error_body_is_told_with_its_code_message_and_remedy() -> None:
    body = {"error": {"code": "no_token", "message": "there is no token", "remedy": "Send one."}}

    with pytest.raises(PredictionError) as caught:
        client(401, json.dumps(body).encode()).ask({})

    assert str(caught.value) == "401 no_token: there is no token\n  remedy: Send one."


def test_an_error_of_another_form_is_told_with_its_status_and_address() -> None:
    with pytest.raises(PredictionError, match=f"502 from {BASE}/v1/guess: bad gateway"):
        client(502, b"bad gateway").ask({})


def test_a_gateway_that_does_not_answer_is_told_with_what_to_look_at() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused")

    asking = Client(BASE, httpx.Client(transport=httpx.MockTransport(refuse)))

    with pytest.raises(PredictionError, match=r"connection refused.*yard status"):
        asking.ask({})


def test_a_model_without_an_example_is_refused_with_the_known_ones() -> None:
    with pytest.raises(Refusal, match=r"nomodel.*digits"):
        example("nomodel")


def test_a_gateway_whose_name_nobody_knows_here_is_told_with_what_to_do() -> None:
    facts = contract.promised(environment.load("dev"))
    nowhere = facts.gateway.model_copy(update={"url": "https://models.invalid"})

    text = unseen(facts.model_copy(update={"gateway": nowhere}))

    assert text is not None
    assert "models.invalid has no address here" in text
    assert "load balancer" in text


def test_a_gateway_of_this_machine_is_always_seen() -> None:
    assert unseen(contract.promised(environment.load("local"))) is None
