"""The FastAPI peer keeps the contract of the hot route: these are the hot route's own tests.

Gaps, all in favour of the peer's speed: a key that stands twice is not noticed, nor a byte order
mark; a body that comes slowly is waited for. FastAPI writes another OpenAPI document.
"""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ci.bench.peers import fastapi_classifier
from services.serving.classifier import Session
from tests.services.serving.conftest import picture, serving, write_model
from tests.services.serving.test_application import (
    JSON,
    PREDICT,
    fault,
    test_a_body_of_one_mebibyte_is_read,
    test_a_body_over_one_mebibyte_is_refused_with_413,
    test_a_compressed_body_is_refused_with_415,
    test_an_unknown_path_is_a_404_that_says_what_is_served,
    test_any_other_type_is_refused_with_415,
    test_each_item_gets_its_label_and_probability_in_order,
    test_json_may_say_that_it_is_utf_8,
    test_other_pages_do_not_take_post,
    test_predictions_take_post_only,
    test_what_is_loaded_is_not_walked_by_the_garbage_collector,
)
from tests.services.serving.test_items import BAD
from tests.services.serving.test_metrics import (
    test_every_series_of_a_request_names_model_and_version,
    test_latency_has_buckets_from_100_microseconds_to_10_seconds,
    test_predicted_items_are_counted_by_label,
    test_requests_are_counted_by_route_and_code,
    test_the_digest_of_the_image_is_told,
    test_unknown_paths_make_no_series_of_their_own,
)

__all__ = [
    "test_a_body_of_one_mebibyte_is_read",
    "test_a_body_over_one_mebibyte_is_refused_with_413",
    "test_a_compressed_body_is_refused_with_415",
    "test_an_unknown_path_is_a_404_that_says_what_is_served",
    "test_any_other_type_is_refused_with_415",
    "test_each_item_gets_its_label_and_probability_in_order",
    "test_every_series_of_a_request_names_model_and_version",
    "test_json_may_say_that_it_is_utf_8",
    "test_latency_has_buckets_from_100_microseconds_to_10_seconds",
    "test_other_pages_do_not_take_post",
    "test_predicted_items_are_counted_by_label",
    "test_predictions_take_post_only",
    "test_requests_are_counted_by_route_and_code",
    "test_the_digest_of_the_image_is_told",
    "test_unknown_paths_make_no_series_of_their_own",
    "test_what_is_loaded_is_not_walked_by_the_garbage_collector",
]
GAPS = {"the key twice", "the key twice, once escaped", "a byte order mark"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with serving(
        write_model(tmp_path_factory.mktemp("peer")), build=fastapi_classifier.build
    ) as opened:
        yield opened


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[httpx.Client]:
    with serving(write_model(tmp_path), build=fastapi_classifier.build) as opened:
        yield opened


@pytest.mark.parametrize("name", [name for name in BAD if name not in GAPS])
def test_a_bad_body_is_refused_with_the_code_of_its_first_fault(
    client: httpx.Client, name: str
) -> None:
    content, code, _ = BAD[name]

    response = client.post(PREDICT, content=content, headers=JSON)

    assert response.status_code == 400
    assert fault(response)["code"] == code


def test_an_error_of_ours_is_a_500_without_its_reason(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("the secret reason")

    with monkeypatch.context() as broken:
        broken.setattr(Session, "probabilities", fail)
        response = client.post(PREDICT, json={"images": [picture(1)]})

    assert response.status_code == 500
    assert fault(response)["code"] == "internal"
    assert "secret" not in response.text
