"""Inputs of a resource as plain values. What only a later run can tell is UNKNOWN, and no fault."""

from typing import Any, Final


class _Unknown:
    def __repr__(self) -> str:
        return "not known yet"


UNKNOWN: Final = _Unknown()
"""In a preview: a value that depends on what is not there yet. `up` asks again, with the value."""


def at(value: Any, *path: str) -> Any:
    """What stands under ``path``: None where nothing does, UNKNOWN where that cannot be told."""
    for key in path:
        if value is UNKNOWN:
            return UNKNOWN
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def items(value: Any) -> list[Any]:
    """The items of a list; none where it is missing or unknown."""
    return value if isinstance(value, list) else []
