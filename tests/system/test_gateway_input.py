"""Bad input through the gateway: every case is refused in one form, and the service goes on."""

import gzip
import json
import pickle
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.system.house import House, Kubernetes

pytestmark = pytest.mark.system

PREDICT = "/digits/v1/predict"
MIB = 1024 * 1024
ROW = [0.0] * 8
IMAGE = [ROW] * 8
GOOD = {"images": [IMAGE]}
# Words of a Python, Go or server failure that must not reach a caller.
TRACES = ("Traceback", 'File "', ".py", "goroutine", "Exception", "onnxruntime", "site-packages")


def image(value: object) -> bytes:
    """A sound body but for the first pixel; NaN and Infinity are written as Python writes them."""
    return json.dumps({"images": [[[value, *ROW[1:]], *IMAGE[1:]]]}).encode()


def body(document: object) -> bytes:
    return json.dumps(document).encode()


@dataclass(frozen=True, kw_only=True)
class Case:
    """One bad request: what is sent, and the statuses that may answer it."""

    name: str
    status: tuple[int, ...]
    content: bytes = field(default=body(GOOD))
    path: str = PREDICT
    method: str = "POST"
    kind: str | None = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    """Headers that replace the default ones; an Authorization of '' is not sent at all."""


def malformed(name: str, content: bytes) -> Case:
    """A body that is refused for what it says."""
    return Case(name=name, content=content, status=(400, 422))


def elsewhere(name: str, path: str) -> Case:
    return Case(name=name, path=path, status=(404,))


def wrong_method(method: str) -> Case:
    return Case(name=f"the method {method}", method=method, status=(405,))


def mistyped(kind: str, content: bytes = body(GOOD)) -> Case:
    return Case(name=f"the content type {kind}", kind=kind, content=content, status=(415,))


def unknown_caller(name: str, authorization: str, path: str = PREDICT) -> Case:
    headers = {"Authorization": authorization}
    return Case(name=name, headers=headers, path=path, status=(401,))


class Boom:
    """Unpickling it would be noticed: it is a call, as in an attack."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (eval, ("1/0",))


CASES = [
    malformed("an empty body", b""),
    malformed("white space", b"  \n "),
    malformed("no JSON", b"images=1"),
    malformed("half of a JSON document", body(GOOD)[:-2]),
    malformed("two JSON documents", body(GOOD) * 2),
    malformed("invalid UTF-8", body(GOOD).replace(b"images", b"im\xff\xfeges")),
    malformed("UTF-16", json.dumps(GOOD).encode("utf-16")),
    malformed("null", b"null"),
    malformed("a bare list", body([IMAGE])),
    malformed("a bare string", body("images")),
    malformed("a bare number", b"3"),
    malformed("an empty object", b"{}"),
    malformed("another key", body({"pictures": [IMAGE]})),
    malformed("an unknown key beside the right one", body({**GOOD, "mode": "fast"})),
    malformed("a duplicate key", b'{"images": [], ' + body(GOOD)[1:]),
    malformed("images that are null", body({"images": None})),
    malformed("images that are a string", body({"images": "0" * 64})),
    malformed("images that are an object", body({"images": {"0": IMAGE}})),
    malformed("no image at all", body({"images": []})),
    malformed("65 images", body({"images": [IMAGE] * 65})),
    malformed("one image without the list around it", body({"images": IMAGE})),
    malformed("a level too many", body({"images": [[IMAGE]]})),
    malformed("a flat image", body({"images": [[0.0] * 64]})),
    malformed("seven rows", body({"images": [IMAGE[1:]]})),
    malformed("nine rows", body({"images": [[*IMAGE, ROW]]})),
    malformed("rows of seven", body({"images": [[ROW[1:]] * 8]})),
    malformed("rows of nine", body({"images": [[[*ROW, 0.0]] * 8]})),
    malformed("one row that is short", body({"images": [[*IMAGE[1:], ROW[1:]]]})),
    malformed("an empty row", body({"images": [[*IMAGE[1:], []]]})),
    malformed("a second image that is wrong", body({"images": [IMAGE, IMAGE[1:]]})),
    malformed("a pixel of text", image("3")),
    malformed("a pixel of true", image(True)),
    malformed("a pixel of null", image(None)),
    malformed("a pixel that is a list", image([1.0])),
    malformed("a pixel that is an object", image({})),
    malformed("a pixel below 0", image(-0.001)),
    malformed("a pixel above 16", image(16.001)),
    malformed("a pixel of NaN", image(float("nan"))),
    malformed("a pixel of Infinity", image(float("inf"))),
    malformed("a pixel of -Infinity", image(float("-inf"))),
    malformed("a pixel beyond a double", image(0).replace(b"[0,", b"[1e999,", 1)),
    malformed("a pixel with thousands of digits", image(0).replace(b"[0,", b"[1" + b"0" * 5000, 1)),
    malformed("100,000 nested lists", b'{"images": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    malformed("nested objects", b'{"images":' * 20_000 + b"1" + b"}" * 20_000),
    Case(name="a body over 1 MiB", content=body(GOOD) + b" " * MIB, status=(413,)),
    Case(
        name="a compressed body",
        content=gzip.compress(body(GOOD)),
        headers={"Content-Encoding": "gzip"},
        status=(400, 415),
    ),
    mistyped("text/plain"),
    mistyped("application/x-www-form-urlencoded", b"images=1"),
    mistyped("multipart/form-data; boundary=x", b"--x--\r\n"),
    mistyped("application/octet-stream", pickle.dumps(Boom())),
    mistyped("application/vnd.bentoml+pickle", pickle.dumps(Boom())),
    Case(name="no content type", kind=None, status=(415,)),
    malformed("a pickle that calls itself JSON", pickle.dumps(Boom())),
    elsewhere("an unknown version", "/digits/v9/predict"),
    elsewhere("no version", "/digits/predict"),
    elsewhere("an unknown path of the model", "/digits/v1/train"),
    elsewhere("an unknown model", "/nosuchmodel/v1/predict"),
    elsewhere("the root", "/"),
    elsewhere("a path below the prediction", PREDICT + "/more"),
    elsewhere("the gateway's own dashboard", "/dashboard/"),
    elsewhere("the doorkeeper's own path", "/auth"),
    elsewhere("the metrics, which stay inside", "/digits/metrics"),
    *map(wrong_method, ("GET", "PUT", "PATCH", "DELETE", "TRACE")),
    Case(name="a method that nobody knows", method="BREW", status=(400, 405)),
    unknown_caller("no token", ""),
    unknown_caller("a wrong token", "Bearer " + "0" * 43),
    unknown_caller("the scheme Basic", "Basic dXNlcjpwYXNz"),
    unknown_caller("a scheme without a token", "Bearer"),
    unknown_caller("two words for a token", "Bearer one two"),
    unknown_caller("a token of 8 KiB", "Bearer " + "a" * 8192),
    unknown_caller("no token, for an unknown version", "", path="/digits/v9/predict"),
    # The gateway has no route to it at all: Prometheus asks the pods.
    Case(name="the metrics of the model", path="/digits/metrics", method="GET", status=(404,)),
]


def ask(gateway: httpx.Client, case: Case) -> httpx.Response:
    """Send the case exactly as it stands; httpx adds nothing but the length and the host."""
    headers = httpx.Headers(gateway.headers)
    headers.update(case.headers)
    if case.kind is not None:
        headers["Content-Type"] = case.kind
    if headers["Authorization"] == "":
        del headers["Authorization"]
    request = httpx.Request(
        case.method, gateway.base_url.join(case.path), content=case.content, headers=headers
    )
    return gateway.send(request)


def assert_error_form(response: httpx.Response) -> None:
    """Exactly {"error": {code, message, remedy}} as JSON, with words for people and no trace."""
    text = response.text
    assert response.headers["content-type"].startswith("application/json"), text
    document = response.json()
    assert set(document) == {"error"}, text
    assert set(document["error"]) == {"code", "message", "remedy"}, text
    assert all(isinstance(v, str) and v.strip() for v in document["error"].values()), text
    assert not [trace for trace in TRACES if trace in text], text


@pytest.fixture(scope="module")
def restarts(kubernetes: Kubernetes) -> dict[str, int]:
    """How often each serving container had restarted before the table was sent."""
    return counted(kubernetes)


def counted(kubernetes: Kubernetes) -> dict[str, int]:
    pods = kubernetes.items(
        "/api/v1/namespaces/models/pods", labelSelector="modelyard.dev/model=digits"
    )
    return {
        pod["metadata"]["name"]: sum(s["restartCount"] for s in pod["status"]["containerStatuses"])
        for pod in pods
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "_"))
def test_bad_input_is_refused_in_the_one_form(
    gateway: httpx.Client, restarts: dict[str, int], case: Case
) -> None:
    response = ask(gateway, case)

    assert response.status_code in case.status, response.text
    assert_error_form(response)


def test_a_token_in_the_query_opens_nothing(house: House) -> None:
    with house.gateway(token=None) as anonymous:
        for name in ("token", "access_token", "authorization"):
            response = anonymous.post(PREDICT, params={name: house.token}, json=GOOD)

            assert response.status_code == 401, response.text
            assert_error_form(response)


def test_a_token_that_differs_in_one_letter_opens_nothing(house: House) -> None:
    last = house.token[-1]
    changed = house.token[:-1] + ("b" if last == "a" else "a")
    with house.gateway(token=changed) as stranger:
        response = stranger.post(PREDICT, json=GOOD)

    assert response.status_code == 401, response.text
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert_error_form(response)


def test_an_oversized_body_is_refused_without_a_length_too(gateway: httpx.Client) -> None:
    def pieces() -> Any:
        yield body(GOOD)
        for _ in range(20):
            yield b" " * 65536

    kind = {"Content-Type": "application/json"}
    response = gateway.post(PREDICT, content=pieces(), headers=kind)

    assert response.status_code == 413, response.text
    assert_error_form(response)


def test_the_gateway_speaks_nothing_but_tls(house: House) -> None:
    url = house.contract.gateway.url.replace("https://", "http://")
    headers = {"Authorization": f"Bearer {house.token}"}
    try:
        response = httpx.post(url + PREDICT, json=GOOD, headers=headers, trust_env=False)
    except httpx.RemoteProtocolError:
        return
    assert response.status_code >= 400
    assert "predictions" not in response.text


def test_after_all_of_it_a_good_prediction_works_and_no_pod_has_restarted(
    gateway: httpx.Client, kubernetes: Kubernetes, restarts: dict[str, int], example: dict[str, Any]
) -> None:
    response = gateway.post(PREDICT, json={"images": example["images"]})

    assert response.status_code == 200, response.text
    assert len(response.json()["predictions"]) == len(example["images"])
    assert counted(kubernetes) == restarts
