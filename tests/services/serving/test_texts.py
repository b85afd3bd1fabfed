import json
from typing import Any

import pytest

from services.serving.faults import Fault
from services.serving.texts import Texts

TEXTS = Texts(model="tiny", dimensions=4, limit=3, characters=10)
GOOD = {"model": "tiny", "input": "hello"}


def read(**changes: Any) -> Any:
    return TEXTS.read(json.dumps({**GOOD, **changes}).encode())


def test_one_text_is_a_list_of_one() -> None:
    assert read().texts == ["hello"]


def test_texts_keep_their_order() -> None:
    assert read(input=["b", "a", "b"]).texts == ["b", "a", "b"]


def test_numbers_are_written_as_numbers_unless_base64_is_asked_for() -> None:
    assert not read().base64
    assert not read(encoding_format="float").base64
    assert read(encoding_format="base64").base64


def test_what_openais_clients_send_besides_is_accepted() -> None:
    assert read(user="somebody", dimensions=4).texts == ["hello"]


def test_a_text_is_counted_in_characters_and_not_in_bytes() -> None:
    assert read(input="é" * 10).texts == ["é" * 10]


def test_a_good_request_is_one_that_the_schema_allows() -> None:
    schema = TEXTS.schema()

    assert set(schema["required"]) == {"model", "input"}
    assert schema["properties"]["input"]["oneOf"][1]["maxItems"] == 3


BAD: dict[str, tuple[bytes, int, str, str]] = {
    "nothing": (b"", 400, "invalid_json", "empty"),
    "no JSON": (b"{", 400, "invalid_json", "not JSON"),
    "half of a pair": (rb'{"model":"tiny","input":"\ud800"}', 400, "invalid_json", "not JSON"),
    "a list": (b"[]", 400, "wrong_type", "the body is a list, not an object"),
    "no model": (b'{"input":"x"}', 400, "missing_key", "model is missing"),
    "no input": (b'{"model":"tiny"}', 400, "missing_key", "input is missing"),
}
CHANGES: dict[str, tuple[dict[str, Any], int, str, str]] = {
    "another model": ({"model": "large"}, 404, "model_not_found", "'large'; here is 'tiny'"),
    "a model that is a number": ({"model": 3}, 400, "wrong_type", "model is a number"),
    "an unknown key": ({"colour": 1}, 400, "unknown_key", "'colour'"),
    "no text": ({"input": []}, 400, "empty", "input is empty"),
    "an empty text": ({"input": ""}, 400, "empty", "input is empty"),
    "an empty text among others": ({"input": ["a", ""]}, 400, "empty", "input[1] is empty"),
    "too many texts": ({"input": ["a"] * 4}, 400, "too_many_items", "4 texts; at most 3"),
    "a long text": ({"input": "x" * 11}, 400, "too_long", "input has 11 characters; at most 10"),
    "a long text among others": ({"input": ["x" * 11]}, 400, "too_long", "input[0] has 11"),
    "tokens": ({"input": [1, 2]}, 400, "wrong_type", "input[0] is a number"),
    "lists of tokens": ({"input": [[1]]}, 400, "wrong_type", "input[0] is a list"),
    "null": ({"input": None}, 400, "wrong_type", "input is null"),
    "an unknown format": ({"encoding_format": "hex"}, 400, "out_of_range", "'hex'"),
    "a format of null": ({"encoding_format": None}, 400, "wrong_type", "encoding_format is null"),
    "fewer dimensions": ({"dimensions": 2}, 400, "out_of_range", "2; this model has 4"),
    "dimensions of text": ({"dimensions": "4"}, 400, "wrong_type", "dimensions is a string"),
    "dimensions of true": ({"dimensions": True}, 400, "wrong_type", "dimensions is a boolean"),
    "a user of null": ({"user": None}, 400, "wrong_type", "user is null"),
}
BAD |= {
    name: (json.dumps({**GOOD, **changes}).encode(), status, code, message)
    for name, (changes, status, code, message) in CHANGES.items()
}


@pytest.mark.parametrize(("body", "status", "code", "message"), BAD.values(), ids=BAD)
def test_a_bad_request_is_refused_with_code_message_and_remedy(
    body: bytes, status: int, code: str, message: str
) -> None:
    with pytest.raises(Fault) as caught:
        TEXTS.read(body)

    assert (caught.value.status, caught.value.code) == (status, code)
    assert message in caught.value.message
    assert caught.value.remedy.startswith(("Send ", "Leave ", "Cut "))
