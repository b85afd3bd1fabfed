"""The input of a model: what a request must look like, and its fast, bounded check."""

from dataclasses import dataclass
from typing import Any, NoReturn

import numpy
import orjson
from numpy.typing import NDArray

from services.serving import schema
from services.serving.faults import Fault

Bound = float | tuple[float, ...]

KINDS = {bool: "a boolean", str: "a string", type(None): "null", list: "a list", dict: "an object"}


@dataclass(frozen=True, kw_only=True)
class Items:
    """`{"<key>": [item, ...]}` with 1 to ``limit`` items of ``shape``, nested lists of numbers.

    ``low`` and ``high`` bound every number; a tuple bounds each column of the last dimension on its
    own.
    """

    key: str
    shape: tuple[int, ...]
    low: Bound
    high: Bound
    limit: int = 64

    def __post_init__(self) -> None:
        for bound in (self.low, self.high):
            if isinstance(bound, tuple) and len(bound) != self.shape[-1]:
                raise ValueError(f"{self.key}: {len(bound)} bounds for {self.shape[-1]} columns")
        if not numpy.all(numpy.less(self.low, self.high)):
            raise ValueError(f"{self.key}: low must lie below high")

    @property
    def describe(self) -> str:
        """What is wanted, for messages: `1 to 64 x 8 x 8 numbers`."""
        return " x ".join([f"1 to {self.limit}", *map(str, self.shape)]) + " numbers"

    @property
    def remedy(self) -> str:
        """How to send a good request."""
        return f'Send {{"{self.key}": {self.describe}}} as JSON; /docs.json tells the bounds.'

    def schema(self) -> dict[str, Any]:
        """Describe one item as OpenAPI."""
        described: dict[str, Any] = {
            "type": "number",
            # OpenAPI 3.0 has no schema for a single column: the widest bounds stand for all.
            "minimum": min(columns(self.low)),
            "maximum": max(columns(self.high)),
        }
        for length in reversed(self.shape):
            described = schema.array(described, length, length)
        return described

    def read(self, body: bytes) -> NDArray[numpy.float32]:
        """Check a request's body and return its items; raises Fault for anything else.

        A good request pays for one parse, one conversion and four scans of bytes or numbers. Only a
        bad one is walked element by element, to name the first fault.
        """
        try:
            document: Any = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            what = f"the body is not JSON: {error}" if body else "the body is empty"
            raise Fault(400, "invalid_json", what, self.remedy) from None
        if type(document) is not dict or len(document) != 1 or self.key not in document:
            self._wrong_keys(document)
        values = document[self.key]
        if type(values) is not list or not 1 <= len(values) <= self.limit:
            self._wrong_count(values)
        try:
            numbers = numpy.array(values)
        except ValueError:  # lists of different lengths, or deeper than numpy goes
            self._explain(values)
        if (
            numbers.shape[1:] != self.shape
            or numbers.dtype.kind not in "iuf"
            or not ((numbers >= self.low) & (numbers <= self.high)).all()
            # numpy takes true for 1. The only name of a good body is the key, so this finds all of
            # them.
            or b"true" in body
            or b"false" in body
        ):
            self._explain(values)
        if body.count(b'"') != 2:  # the parser keeps the last of two equal keys and says nothing
            raise Fault(400, "duplicate_key", f"{self.key} stands there twice", self.remedy)
        return numbers.astype(numpy.float32)

    def _wrong_keys(self, document: object) -> NoReturn:
        if not isinstance(document, dict):
            kind = KINDS.get(type(document), "a number")
            raise Fault(400, "wrong_type", f"the body is {kind}, not an object", self.remedy)
        unknown = sorted(set(document) - {self.key})
        if unknown:
            raise Fault(400, "unknown_key", f"unknown key {unknown[0][:60]!r}", self.remedy)
        raise Fault(400, "missing_key", f"the key {self.key} is missing", self.remedy)

    def _wrong_count(self, values: object) -> NoReturn:
        if not isinstance(values, list):
            kind = KINDS.get(type(values), "a number")
            raise Fault(400, "wrong_type", f"{self.key} is {kind}, not a list", self.remedy)
        if not values:
            raise Fault(400, "empty", f"{self.key} is empty", self.remedy)
        message = f"{self.key} has {len(values)} items; at most {self.limit} are taken"
        raise Fault(400, "too_many_items", message, f"Send {self.limit} or fewer at a time.")

    def _explain(self, values: list[Any]) -> NoReturn:
        for at, item in enumerate(values):
            self._check(item, self.shape, (at,))
        raise Fault(400, "invalid", f"{self.key} cannot be read", self.remedy)

    def _check(self, value: Any, shape: tuple[int, ...], at: tuple[int, ...]) -> None:
        """Raise the Fault of the first element that breaks a rule."""
        name = self.key + "".join(f"[{index}]" for index in at)
        if not shape:
            self._check_number(value, name, at[-1])
            return
        if not isinstance(value, list):
            kind = KINDS.get(type(value), "a number")
            code = "wrong_shape" if kind == "a number" else "wrong_type"
            message = f"{name} is {kind}, not a list of {shape[0]}"
            raise Fault(400, code, message, self.remedy)
        if len(value) != shape[0]:
            message = f"{name} has length {len(value)}, not {shape[0]}"
            raise Fault(400, "wrong_shape", message, self.remedy)
        for index, inner in enumerate(value):
            self._check(inner, shape[1:], (*at, index))

    def _check_number(self, value: Any, name: str, column: int) -> None:
        if kind := KINDS.get(type(value)):
            code = "wrong_shape" if kind == "a list" else "wrong_type"
            raise Fault(400, code, f"{name} is {kind}, not a number", self.remedy)
        bounds = columns(self.low), columns(self.high)
        low, high = (bound[column % len(bound)] for bound in bounds)
        if not low <= value <= high:
            message = f"{name} is {str(value)[:30]}; it must lie from {low:g} to {high:g}"
            raise Fault(400, "out_of_range", message, self.remedy)


def columns(bound: Bound) -> tuple[float, ...]:
    """Write a bound as one number for each column, or a single one for all of them."""
    return bound if isinstance(bound, tuple) else (bound,)
