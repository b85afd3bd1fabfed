import gc
import json
import logging
from typing import Any

import httpx
import pytest

from services.serving.items import Items
from tests.services.serving.conftest import DIGEST, VERSION, picture

PREDICT = "/v1/predict"
JSON = {"content-type": "application/json"}


def fault(response: Any) -> dict[str, str]:
    """The error of a response, which has exactly the one form."""
    assert response.headers["content-type"] == "application/json"
    document = response.json()
    assert set(document) == {"error"}
    assert set(document["error"]) == {"code", "message", "remedy"}
    assert all(document["error"].values())
    assert "Traceback" not in response.text
    return dict(document["error"])


def test_each_item_gets_its_label_and_probability_in_order(client: httpx.Client) -> None:
    response = client.post(PREDICT, json={"images": [picture(3), picture(0), picture(7)]})

    assert response.status_code == 200
    document = response.json()
    assert [one["label"] for one in document["predictions"]] == [3, 0, 7]
    assert all(0.99 < one["probability"] <= 1 for one in document["predictions"])
    assert document["model"] == {"name": "tiny", "version": VERSION, "digest": DIGEST}


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "application/json; charset=utf-8",
        'Application/JSON;charset="UTF-8"',
    ],
)
def test_json_may_say_that_it_is_utf_8(client: httpx.Client, kind: str) -> None:
    content = json.dumps({"images": [picture(1)]})

    response = client.post(PREDICT, content=content, headers={"content-type": kind})

    assert response.status_code == 200


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/octet-stream",
        "application/vnd.bentoml+pickle",
        "application/json; charset=latin-1",
        "application/jsonx",
        "application/j\u00e4son",
    ],
)
def test_any_other_type_is_refused_with_415(client: httpx.Client, kind: str) -> None:
    headers = {b"content-type": kind.encode("latin-1")}

    response = client.post(PREDICT, content=b"{}", headers=headers)

    assert response.status_code == 415
    assert fault(response)["code"] == "unsupported_media_type"


def test_a_compressed_body_is_refused_with_415(client: httpx.Client) -> None:
    response = client.post(PREDICT, content=b"x", headers={**JSON, "content-encoding": "gzip"})

    assert response.status_code == 415
    assert fault(response)["code"] == "unsupported_encoding"


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_predictions_take_post_only(client: httpx.Client, method: str) -> None:
    response = client.request(method, PREDICT)

    assert response.status_code == 405
    assert response.headers["allow"] == "POST"


@pytest.mark.parametrize("path", ["/metrics", "/docs.json", "/livez", "/readyz", "/healthz"])
def test_other_pages_do_not_take_post(client: httpx.Client, path: str) -> None:
    response = client.post(path)

    assert response.status_code == 405
    assert fault(response)["code"] == "method_not_allowed"
    assert response.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v2/predict", "unknown_version"),
        ("/v0", "unknown_version"),
        ("/v1/predictions", "not_found"),
        ("/v1/predict/", "not_found"),
        ("/", "not_found"),
        ("/predict", "not_found"),
        ("/../etc/passwd", "not_found"),
        ("/static_content/index.css", "not_found"),
        ("/%00", "not_found"),
    ],
)
def test_an_unknown_path_is_a_404_that_says_what_is_served(
    client: httpx.Client, path: str, code: str
) -> None:
    response = client.post(path, json={})

    assert response.status_code == 404
    told = fault(response)
    assert told["code"] == code
    assert PREDICT in told["remedy"]


def test_a_body_over_one_mebibyte_is_refused_with_413(client: httpx.Client) -> None:
    response = client.post(PREDICT, content=b" " * (1024 * 1024 + 1), headers=JSON)

    assert response.status_code == 413
    assert fault(response)["code"] == "too_large"


def test_a_body_of_one_mebibyte_is_read(client: httpx.Client) -> None:
    content = json.dumps({"images": [picture(2)]}).encode()

    response = client.post(PREDICT, content=content.ljust(1024 * 1024), headers=JSON)

    assert response.status_code == 200


def test_an_error_of_ours_is_a_500_without_its_reason_and_the_service_goes_on(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("the secret reason")

    with monkeypatch.context() as broken:
        broken.setattr(Items, "read", fail)
        with caplog.at_level(logging.ERROR):
            response = client.post(PREDICT, json={"images": [picture(1)]})

    assert response.status_code == 500
    assert fault(response)["code"] == "internal"
    assert "secret" not in response.text
    assert "the secret reason" in caplog.text
    assert client.post(PREDICT, json={"images": [picture(1)]}).status_code == 200


def test_what_is_loaded_is_not_walked_by_the_garbage_collector(client: httpx.Client) -> None:
    assert gc.get_freeze_count() > 0
    assert gc.isenabled()
