from array import array
from base64 import b64encode

import pytest

from ci.yard.nearest import lines, ranking, texts, vectors

FOUND = [[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]]


def test_the_texts_of_a_request_are_found_whether_one_or_many() -> None:
    assert texts({"model": "embed", "input": "a"}) == ["a"]
    assert texts({"model": "embed", "input": ["a", "b"]}) == ["a", "b"]


@pytest.mark.parametrize("body", [{"images": [[1]]}, {"input": 3}, {"input": [1, 2]}, {}])
def test_another_request_has_no_texts(body: dict[str, object]) -> None:
    assert texts(body) == []


def test_vectors_are_read_from_numbers_and_from_base64() -> None:
    coded = b64encode(array("f", [0.5, -0.5]).tobytes()).decode()

    found = vectors({"data": [{"embedding": [0.5, -0.5]}, {"embedding": coded}]})

    assert [list(one) for one in found] == [[0.5, -0.5], [0.5, -0.5]]
    assert vectors({"predictions": []}) == []


def test_the_nearest_text_comes_first() -> None:
    assert ranking(["query", "far", "near"], FOUND) == [(0.8, "near"), (0.0, "far")]


def test_each_other_text_is_shown_with_its_cosine() -> None:
    assert lines(["query", "far", "near"], FOUND) == [
        "nearest to: query", "   0.80  near", "   0.00  far",
    ]  # fmt: skip


def test_a_single_text_shows_how_its_vector_begins() -> None:
    assert lines(["query"], FOUND[:1]) == ["answer: 2 numbers, 1.0000, 0.0000 ..."]
