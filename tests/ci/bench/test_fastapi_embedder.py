"""The FastAPI peer of an embedder answers as our own service does: these are that one's own tests.

Its refusals have our form and status; codes are compared for classifiers only.
"""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ci.bench.peers import fastapi_embedder
from tests.services.serving.conftest import serving
from tests.services.serving.test_embedder import (
    MODEL,
    ROUTE,
    folder,
    test_a_bad_request_has_the_one_error_body,
    test_another_path_is_told_where_embeddings_are,
    test_base64_holds_the_same_numbers,
    test_each_text_gets_its_vector_in_order,
    test_of_a_long_text_the_beginning_is_read_and_the_answer_says_so,
    test_the_answer_has_openais_form_and_ours_beside_it,
    test_tokens_and_truncated_texts_are_counted,
)
from tests.services.serving.test_texts import BAD

__all__ = [
    "folder",
    "test_a_bad_request_has_the_one_error_body",
    "test_another_path_is_told_where_embeddings_are",
    "test_base64_holds_the_same_numbers",
    "test_each_text_gets_its_vector_in_order",
    "test_of_a_long_text_the_beginning_is_read_and_the_answer_says_so",
    "test_the_answer_has_openais_form_and_ours_beside_it",
    "test_tokens_and_truncated_texts_are_counted",
]
OTHER_BOUNDS = {"too many texts", "a long text", "a long text among others", "fewer dimensions"}
"""The tiny model of these tests takes longer requests than those of test_texts."""


@pytest.fixture
def client(folder: Path) -> Iterator[httpx.Client]:
    with serving(folder, MODEL, fastapi_embedder.build) as opened:
        yield opened


def test_bad_requests_are_refused_with_our_status_and_form(client: httpx.Client) -> None:
    headers = {"content-type": "application/json"}
    for name, (content, status, _, _) in BAD.items():
        if name in OTHER_BOUNDS:
            continue
        response = client.post(ROUTE, content=content, headers=headers)

        assert response.status_code == status, name
        assert set(response.json()["error"]) == {"code", "message", "remedy"}
