import json

import httpx
import pytest

from ci.pipeline.prediction import Answer, Client, PredictionError, example
from infra.refusal import Refusal

URL = "https://127.0.0.1:8443/digits/v1/predict"


def client(status: int, content: bytes) -> Client:
    transport = httpx.MockTransport(lambda request: httpx.Response(status, content=content))
    return Client("digits", URL, httpx.Client(transport=transport))


def test_an_answer_tells_version_and_digest_of_what_answered() -> None:
    answer = Answer(
        body={"model": {"name": "digits", "version": "1.0.0", "digest": "sha256:0"}}, milliseconds=1
    )

    assert (answer.version, answer.digest) == ("1.0.0", "sha256:0")


def test_an_error_body_is_told_with_its_code_message_and_remedy() -> None:
    body = {"error": {"code": "no_token", "message": "there is no token", "remedy": "Send one."}}

    with pytest.raises(PredictionError) as caught:
        client(401, json.dumps(body).encode()).ask({})

    assert str(caught.value) == "401 no_token: there is no token\n  remedy: Send one."


def test_an_error_of_another_form_is_told_with_its_status_and_address() -> None:
    with pytest.raises(PredictionError, match=f"502 from {URL}: bad gateway"):
        client(502, b"bad gateway").ask({})


def test_a_gateway_that_does_not_answer_is_told_with_what_to_look_at() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused")

    asking = Client("digits", URL, httpx.Client(transport=httpx.MockTransport(refuse)))

    with pytest.raises(PredictionError, match=r"connection refused.*yard status"):
        asking.ask({})


def test_a_model_without_an_example_is_refused_with_the_known_ones() -> None:
    with pytest.raises(Refusal, match=r"nomodel.*digits"):
        example("nomodel")
