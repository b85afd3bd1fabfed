"""A request for embeddings as OpenAI's API has it, checked and bounded."""

from dataclasses import dataclass
from typing import Any, NoReturn

import orjson

from services.serving import schema
from services.serving.faults import Fault
from services.serving.items import KINDS

FORMATS = ("float", "base64")


@dataclass(frozen=True, slots=True)
class Request:
    """Texts to embed, and whether the vectors are wanted as base64."""

    texts: list[str]
    base64: bool


@dataclass(frozen=True, kw_only=True)
class Texts:
    """`{"model": NAME, "input": one text or a list}` with 1 to ``limit`` texts.

    `encoding_format` chooses how vectors are written, `dimensions` may only say what the model has,
    `user` is accepted and ignored. Inputs that are tokens instead of texts are refused.
    """

    model: str
    dimensions: int
    limit: int = 64
    characters: int = 8192
    """Longest text. The model reads its first tokens only; this bounds the work of finding them."""

    @property
    def remedy(self) -> str:
        """How to send a good request."""
        return (
            f'Send {{"model": "{self.model}", "input": a text or a list of 1 to {self.limit}}}'
            " as JSON; /docs.json tells the bounds."
        )

    def read(self, body: bytes) -> Request:
        """Check a request's body; raises Fault for anything that breaks a rule."""
        try:
            document: Any = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            what = f"the body is not JSON: {error}" if body else "the body is empty"
            raise Fault(400, "invalid_json", what, self.remedy) from None
        if type(document) is not dict:
            self._wrong_type("the body", document, "an object")
        if not document.keys() <= OPTIONS.keys():
            unknown = sorted(document.keys() - OPTIONS.keys())[0]
            self._refuse("unknown_key", f"unknown key {unknown[:60]!r}")
        for key in ("model", "input"):
            if key not in document:
                self._refuse("missing_key", f"the key {key} is missing")
        for key, value in document.items():
            OPTIONS[key](self, value)
        given = document["input"]
        base64 = document.get("encoding_format") == "base64"
        return Request([given] if type(given) is str else given, base64)

    def schema(self) -> dict[str, Any]:
        """Describe a request as OpenAPI."""
        text = {"type": "string", "minLength": 1, "maxLength": self.characters}
        return schema.obj(
            {
                "model": {"type": "string", "enum": [self.model]},
                "input": {"oneOf": [text, schema.array(text, 1, self.limit)]},
                "encoding_format": {"type": "string", "enum": [*FORMATS], "default": FORMATS[0]},
                "dimensions": {"type": "integer", "enum": [self.dimensions]},
                "user": schema.TEXT,
            },
            optional=("encoding_format", "dimensions", "user"),
        )

    def _check_model(self, value: object) -> None:
        if value != self.model:
            if type(value) is not str:
                self._wrong_type("model", value, "a string")
            message = f"model is {value[:60]!r}; here is {self.model!r} alone"
            raise Fault(404, "model_not_found", message, self.remedy)

    def _check_input(self, value: object) -> None:
        if type(value) is str:
            self._check_text(value, "input")
            return
        if type(value) is not list:
            self._wrong_type("input", value, "a text or a list of texts")
        if not value:
            self._refuse("empty", "input is empty")
        if len(value) > self.limit:
            message = f"input has {len(value)} texts; at most {self.limit} are taken"
            raise Fault(400, "too_many_items", message, f"Send {self.limit} or fewer at a time.")
        for at, text in enumerate(value):
            if type(text) is not str or not 1 <= len(text) <= self.characters:
                self._check_text(text, f"input[{at}]")

    def _check_text(self, value: object, name: str) -> None:
        if type(value) is not str:
            self._wrong_type(name, value, "a text (tokens are not taken)")
        if not value:
            self._refuse("empty", f"{name} is empty")
        if len(value) > self.characters:
            message = f"{name} has {len(value)} characters; at most {self.characters} are taken"
            raise Fault(400, "too_long", message, "Cut the text into pieces, and embed each.")

    def _check_format(self, value: object) -> None:
        if value not in FORMATS:
            if type(value) is not str:
                self._wrong_type("encoding_format", value, "a string")
            self._refuse("out_of_range", f"encoding_format is {value[:30]!r}, not float or base64")

    def _check_dimensions(self, value: object) -> None:
        if type(value) is not int:
            self._wrong_type("dimensions", value, "a whole number")
        if value != self.dimensions:
            message = f"dimensions is {str(value)[:30]}; this model has {self.dimensions}"
            raise Fault(400, "out_of_range", message, f"Leave it out, or send {self.dimensions}.")

    def _check_user(self, value: object) -> None:
        if type(value) is not str:
            self._wrong_type("user", value, "a string")

    def _wrong_type(self, name: str, value: object, wanted: str) -> NoReturn:
        kind = KINDS.get(type(value), "a number")
        self._refuse("wrong_type", f"{name} is {kind}, not {wanted}")

    def _refuse(self, code: str, message: str) -> NoReturn:
        raise Fault(400, code, message, self.remedy)


OPTIONS = {
    "model": Texts._check_model,
    "input": Texts._check_input,
    "encoding_format": Texts._check_format,
    "dimensions": Texts._check_dimensions,
    "user": Texts._check_user,
}
