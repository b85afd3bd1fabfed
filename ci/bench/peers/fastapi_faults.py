"""What is wrong with a request in the words of the hot route's contract, from pydantic's errors."""

from typing import Any

from fastapi.exceptions import RequestValidationError

from services.serving.faults import Fault

CODES = {
    "json_invalid": "invalid_json",
    "finite_number": "invalid_json",
    "missing": "missing_key",
    "extra_forbidden": "unknown_key",
    "greater_than_equal": "out_of_range",
    "less_than_equal": "out_of_range",
}
"""Our code by pydantic's type of error, where nothing else decides."""


def explain_validation(error: RequestValidationError, key: str, remedy: str) -> Fault:
    """The fault of the first error; a key that is not known comes before one that is missing."""
    errors: list[dict[str, Any]] = list(error.errors())
    first = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
    where = "".join(f"[{part}]" if isinstance(part, int) else part for part in first["loc"][1:])
    message = f"{where or 'the body'}: {first['msg']}"
    return Fault(400, _code(first, key), message[:200], remedy)


def _code(first: dict[str, Any], key: str) -> str:
    kind, place, value = first["type"], first["loc"][1:], first.get("input")
    if kind in CODES:
        return CODES[kind] if place or kind != "missing" else "invalid_json"
    if kind == "too_short":
        return "empty" if place == (key,) else "wrong_shape"
    if kind == "too_long":
        return "too_many_items" if place == (key,) else "wrong_shape"
    if kind == "list_type" and isinstance(value, int | float) and not isinstance(value, bool):
        finite = abs(value) < float("inf")
        return "wrong_shape" if finite else "invalid_json"
    return "wrong_shape" if kind == "float_type" and isinstance(value, list) else "wrong_type"
