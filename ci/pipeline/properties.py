"""What a step changes of its resource, property by property, in a form that may be shown."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from ci.pipeline.events import Step
from infra.plugins.kubernetes import paths

Kind = Literal["add", "update", "delete"]

HIDDEN = "[secret]"
UNKNOWN = "not known yet"
# How the engine's events write a secret (masked already) and a value that only `up` can tell.
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_COMPUTED = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
# Masked once more, should a program have forgotten to mark one.
_SENSITIVE = re.compile(r"(password|passwd|token|secret[-_]?string|private[-_]?key|\.key)$", re.I)
LONGEST = 300
"""Characters of a value that are shown."""


@dataclass(frozen=True, kw_only=True)
class Property:
    """One property before and after, as text; None where there is none."""

    path: str
    kind: Kind
    before: str | None
    after: str | None
    replaces: bool
    """Whether the resource must be made anew because of it."""


def changed(step: Step) -> list[Property]:
    """What a step changes: of a creation all that the program sets, of a deletion nothing."""
    if step.op == "delete":
        return []
    old, new = _inputs(step, "old"), _inputs(step, "new")
    if step.op == "create":
        return [
            Property(path=path, kind="add", before=None, after=shown(value, path), replaces=False)
            for path, value in leaves(new)
        ]
    kinds = {
        path: str(found["diffKind"])
        for path, found in (step.metadata.get("detailedDiff") or {}).items()
    }
    if not kinds:
        kinds = dict.fromkeys(_differences(old, new), "update")
    sensitive = _is_secret(new or old)
    return [_property(path, kind, old, new, sensitive) for path, kind in sorted(kinds.items())]


def leaves(tree: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Paths and values of everything that is not a container; secrets and empty ones whole."""
    if isinstance(tree, dict) and tree and _SIGNATURE not in tree:
        hidden = _is_secret(tree)
        for key in sorted(tree):
            if hidden and key in ("data", "stringData"):
                yield paths.write((*at, key)), HIDDEN
            else:
                yield from leaves(tree[key], (*at, key))
    elif isinstance(tree, list) and tree:
        for index, item in enumerate(tree):
            yield from leaves(item, (*at, index))
    elif at:
        yield paths.write(at), tree


def shown(value: Any, path: str) -> str:
    """A value as one short line, without a secret."""
    if isinstance(value, str) and value != HIDDEN and _SENSITIVE.search(path.rstrip('"]')):
        return HIDDEN
    text = json.dumps(_masked(value), ensure_ascii=False)
    text = text.replace(f'"{HIDDEN}"', HIDDEN).replace(f'"{UNKNOWN}"', UNKNOWN)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        if _SIGNATURE in value:
            return HIDDEN
        return {key: _masked(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_masked(one) for one in value]
    return UNKNOWN if value == _COMPUTED else value


def _property(path: str, kind: str, old: Any, new: Any, sensitive: bool) -> Property:
    hidden = sensitive and path.split(".")[0].split("[")[0] in ("data", "stringData")
    before, after = (HIDDEN if hidden else _at(tree, path) for tree in (old, new))
    plain: Kind = "add" if "add" in kind else "delete" if "delete" in kind else "update"
    return Property(
        path=path,
        kind=plain,
        before=None if plain == "add" else before,
        after=None if plain == "delete" else after,
        replaces=kind.endswith("-replace"),
    )


def _at(tree: Any, path: str) -> str | None:
    """What stands under a path; a secret further up hides it."""
    steps = paths.parse(path)
    for end in range(len(steps) + 1):
        exists, value = paths.get(tree, steps[:end])
        if not exists:
            return None
        if isinstance(value, dict) and _SIGNATURE in value:
            return HIDDEN
    return shown(value, path)


def _differences(old: Any, new: Any) -> list[str]:
    return [paths.write(path) for path in paths.differences(old, new)]


def _inputs(step: Step, side: Literal["old", "new"]) -> dict[str, Any]:
    found: dict[str, Any] = (step.metadata.get(side) or {}).get("inputs") or {}
    return found


def _is_secret(tree: Any) -> bool:
    return isinstance(tree, dict) and tree.get("kind") == "Secret"
