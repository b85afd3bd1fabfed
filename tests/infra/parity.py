"""What two runs of a program registered differently, as sentences that a list can explain."""

import fnmatch
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Registered = Mapping[str, Mapping[str, Any]]
"""Inputs by `type name`."""

ABSENT = "absent"


@dataclass(frozen=True)
class Difference:
    """One input that differs: where it stands, and what it is on either side."""

    resource: str
    path: str
    left: str
    right: str

    @property
    def place(self) -> str:
        """What an explanation is matched with."""
        return f"{self.resource}: {self.path}" if self.path else self.resource


@dataclass(frozen=True)
class Explained:
    """A difference that must be: a pattern of its place, and the reason."""

    pattern: str
    reason: str

    def covers(self, difference: Difference) -> bool:
        """Whether this explains the difference."""
        # A path may have brackets, which fnmatch would read as sets.
        return fnmatch.fnmatchcase(difference.place.replace("[", "("), self.pattern)


def differences(left: Registered, right: Registered) -> list[Difference]:
    """All differences, in the order of the resources' names."""
    found: list[Difference] = []
    for name in sorted(set(left) | set(right)):
        if name not in left or name not in right:
            sides = ["present" if name in side else ABSENT for side in (left, right)]
            found.append(Difference(name, "", *sides))
            continue
        found += [Difference(name, *one) for one in _unlike("", left[name], right[name])]
    return found


def unexplained(found: list[Difference], known: list[Explained]) -> list[Difference]:
    """Differences without a reason."""
    return [one for one in found if not any(each.covers(one) for each in known)]


def unused(found: list[Difference], known: list[Explained]) -> list[str]:
    """Explanations of differences that are no more."""
    return [each.pattern for each in known if not any(each.covers(one) for one in found)]


def _unlike(path: str, left: Any, right: Any) -> Iterator[tuple[str, str, str]]:
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        for key in sorted(set(left) | set(right)):
            below = f"{path}.{key}" if path else str(key)
            yield from _unlike(below, left.get(key, ABSENT), right.get(key, ABSENT))
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for number, (one, other) in enumerate(zip(left, right, strict=True)):
            yield from _unlike(f"{path}.{number}", one, other)
    elif left != right:
        yield path, _text(left), _text(right)


def _text(value: Any) -> str:
    return json.dumps(value, default=str, sort_keys=True)
