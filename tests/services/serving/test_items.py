import json
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.serving.faults import Fault
from services.serving.items import Items

PICTURES = Items(key="images", shape=(8, 8), low=0, high=16, limit=64)
COLUMNS = Items(key="rows", shape=(3,), low=(0.0, -1.0, 0.0), high=(1.0, 1.0, 100.0), limit=4)

ROW = [0] * 8
PICTURE = [ROW] * 8


def with_number(value: Any) -> dict[str, Any]:
    """A request whose last number is ``value``."""
    return {"images": [PICTURE, [*[ROW] * 7, [*[0] * 7, value]]]}


def body(value: Any) -> bytes:
    return json.dumps(value).encode()


BAD: dict[str, tuple[bytes, str, str]] = {
    "nothing": (b"", "invalid_json", "empty"),
    "half a document": (b'{"images": [', "invalid_json", "not JSON"),
    "two documents": (b"{} {}", "invalid_json", "not JSON"),
    "bytes that are not UTF-8": (b'{"images": "\xff"}', "invalid_json", "UTF-8"),
    "a byte order mark": (b"\xef\xbb\xbf{}", "invalid_json", "not JSON"),
    "NaN": (b'{"images": NaN}', "invalid_json", "not JSON"),
    "Infinity": (b'{"images": [[[Infinity]]]}', "invalid_json", "not JSON"),
    "a number beyond doubles": (b'{"images": [[[1e999]]]}', "invalid_json", "not JSON"),
    "a hundred digits": (body(with_number(10**99)), "out_of_range", "images[1][7][7]"),
    "a pickle": (b"\x80\x04\x95\x00", "invalid_json", "not JSON"),
    "a list at the top": (body([PICTURE]), "wrong_type", "the body is a list"),
    "null at the top": (b"null", "wrong_type", "the body is null"),
    "a number at the top": (b"3", "wrong_type", "the body is a number"),
    "no key": (b"{}", "missing_key", "images"),
    "another key": (body({"pictures": [PICTURE]}), "unknown_key", "pictures"),
    "one key too many": (body({"images": [PICTURE], "x": 1}), "unknown_key", "'x'"),
    "the key twice": (
        b'{"images": [], "images": ' + body([PICTURE]) + b"}",
        "duplicate_key",
        "twice",
    ),
    "the key twice, once escaped": (
        b'{"\\u0069mages": 1, "images": ' + body([PICTURE]) + b"}",
        "duplicate_key",
        "twice",
    ),
    "no items": (body({"images": []}), "empty", "images is empty"),
    "65 items": (body({"images": [PICTURE] * 65}), "too_many_items", "65"),
    "an object of items": (body({"images": {"0": PICTURE}}), "wrong_type", "an object"),
    "a string of items": (body({"images": "0"}), "wrong_type", "a string"),
    "null items": (body({"images": None}), "wrong_type", "null"),
    "a single picture": (body({"images": PICTURE}), "wrong_shape", "images[0][0] is a number"),
    "seven rows": (body({"images": [[ROW] * 7]}), "wrong_shape", "images[0] has length 7, not 8"),
    "nine columns": (body({"images": [[[0] * 9] * 8]}), "wrong_shape", "images[0][0]"),
    "ragged rows": (body({"images": [[*[ROW] * 7, [0]]]}), "wrong_shape", "images[0][7]"),
    "flat pixels": (body({"images": [[0] * 64]}), "wrong_shape", "images[0] has length 64"),
    "one level too many": (body({"images": [[[[0]] * 8] * 8]}), "wrong_shape", "is a list"),
    "nested 900 deep": (b'{"images": ' + b"[" * 900 + b"]" * 900 + b"}", "wrong_shape", "length 1"),
    "nested 100000 deep": (b"[" * 100_000, "invalid_json", "not JSON"),
    "an empty picture": (body({"images": [[]]}), "wrong_shape", "images[0] has length 0"),
    "a string pixel": (body(with_number("7")), "wrong_type", "images[1][7][7] is a string"),
    "a boolean pixel": (body(with_number(True)), "wrong_type", "images[1][7][7] is a boolean"),
    "only booleans": (body({"images": [[[False] * 8] * 8]}), "wrong_type", "is a boolean"),
    "a null pixel": (body(with_number(None)), "wrong_type", "images[1][7][7] is null"),
    "an object for a pixel": (body(with_number({})), "wrong_type", "is an object"),
    "an object for a row": (body({"images": [[{}] * 8]}), "wrong_type", "images[0][0] is an obj"),
    "below the range": (body(with_number(-0.001)), "out_of_range", "images[1][7][7] is -0.001"),
    "above the range": (body(with_number(16.01)), "out_of_range", "from 0 to 16"),
}


@pytest.mark.parametrize(("content", "code", "words"), BAD.values(), ids=BAD)
def test_a_bad_body_is_refused_with_its_first_fault(content: bytes, code: str, words: str) -> None:
    with pytest.raises(Fault) as caught:
        PICTURES.read(content)

    fault = caught.value
    assert (fault.status, fault.code) == (400, code)
    assert words in fault.message
    assert "images" in fault.remedy or "64" in fault.remedy
    assert len(fault.body()) < 600


@pytest.mark.parametrize("number", [0, 16, 0.5, 15.999, -0.0, 1e-300])
def test_numbers_at_and_between_the_bounds_are_taken(number: float) -> None:
    items = PICTURES.read(body(with_number(number)))

    assert items.shape == (2, 8, 8)
    assert items.dtype == numpy.float32
    assert items[1, 7, 7] == numpy.float32(number)


@pytest.mark.parametrize("count", [1, 64])
def test_as_many_items_as_the_limit_are_taken(count: int) -> None:
    assert PICTURES.read(body({"images": [PICTURE] * count})).shape == (count, 8, 8)


@pytest.mark.parametrize(
    ("row", "name"),
    [([1.5, 0, 0], "rows[0][0]"), ([0, -1.5, 0], "rows[0][1]"), ([0, 0, 101], "rows[0][2]")],
)
def test_each_column_has_its_own_bounds(row: list[float], name: str) -> None:
    assert COLUMNS.read(body({"rows": [[1.0, -1.0, 100.0]]})).shape == (1, 3)
    with pytest.raises(Fault, match=r"must lie from") as caught:
        COLUMNS.read(body({"rows": [row]}))

    assert caught.value.message.startswith(name)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=20,
)


@given(JSON | st.fixed_dictionaries({"rows": JSON}))
def test_whatever_is_sent_is_either_an_array_of_the_right_shape_or_a_fault(value: Any) -> None:
    outcome: Any
    try:
        outcome = COLUMNS.read(body(value))
    except Fault as fault:
        outcome = fault

    if isinstance(outcome, Fault):
        assert outcome.code != "invalid"  # the walk found the reason
    else:
        assert outcome.shape == (len(value["rows"]), 3)
        assert numpy.isfinite(outcome).all()


@given(st.binary(max_size=200))
def test_whatever_bytes_are_sent_the_answer_is_a_fault(content: bytes) -> None:
    with pytest.raises(Fault):
        COLUMNS.read(content)


def test_bounds_must_agree_with_the_shape() -> None:
    with pytest.raises(ValueError, match="2 bounds for 3 columns"):
        Items(key="rows", shape=(3,), low=(0.0, 1.0), high=2)
    with pytest.raises(ValueError, match="low must lie below high"):
        Items(key="rows", shape=(3,), low=2, high=2)
