"""Property paths as Pulumi writes them, and what differs between trees."""

import re
from collections.abc import Iterator

from infra.plugins.kubernetes.values import Path, Tree

_STEP = re.compile(r"""\.?([^.\["\]]+)|\["((?:[^"\\]|\\.)*)"\]|\[(\d+|\*)\]""")
_SIMPLE = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]*")
# Keys by which Kubernetes tells the items of a list apart, tried in this order.
MERGE_KEYS = ("name", "containerPort", "port", "mountPath", "key", "ip", "uid", "type")

ANY = "*"
"""A step that stands for every key or index."""


def parse(text: str) -> Path:
    """Read `spec.containers[0].env["A"]`; raises ValueError for what is not a path."""
    steps: list[str | int] = []
    position = 0
    while position < len(text):
        found = _STEP.match(text, position)
        if not found:
            raise ValueError(f"{text!r} is not a property path (at character {position})")
        name, quoted, index = found.groups()
        if index is not None:
            steps.append(ANY if index == ANY else int(index))
        elif quoted is not None:
            steps.append(re.sub(r"\\(.)", r"\1", quoted))
        else:
            steps.append(name)
        position = found.end()
    return tuple(steps)


def write(path: Path) -> str:
    """Write a path as the engine's display reads it."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _SIMPLE.fullmatch(step):
            text += f".{step}" if text else step
        else:
            escaped = step.replace("\\", "\\\\").replace('"', '\\"')
            text += f'["{escaped}"]'
    return text


def covers(pattern: Path, path: Path) -> bool:
    """Whether ``path`` is what ``pattern`` names, or lies inside of it."""
    return len(pattern) <= len(path) and all(
        step in (ANY, at) for step, at in zip(pattern, path, strict=False)
    )


def get(tree: Tree, path: Path) -> tuple[bool, Tree]:
    """(whether the path exists, the value)."""
    for step in path:
        if isinstance(step, int) and isinstance(tree, list) and step < len(tree):
            tree = tree[step]
        elif isinstance(step, str) and isinstance(tree, dict) and step in tree:
            tree = tree[str(step)]
        else:
            return False, None
    return True, tree


def differences(old: Tree, new: Tree, at: Path = ()) -> Iterator[Path]:
    """The smallest paths at which two trees differ; an index at the end may be in one list only."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            if key not in old or key not in new:
                yield (*at, key)
            else:
                yield from differences(old[key], new[key], (*at, key))
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            if index >= len(old) or index >= len(new):
                yield (*at, index)
            else:
                yield from differences(old[index], new[index], (*at, index))
    elif type(old) is not type(new) or old != new:
        yield at


def deviations(
    shape: Tree, one: Tree, other: Tree, at: Path = (), *, lost: bool = False
) -> Iterator[Path]:
    """Where two answers of the API server differ, seen through the shape of a program's inputs.

    What the shape has not, others own: it is passed over. With ``lost``, what the shape has and
    both lack is named, too. Paths are those of the shape.
    """
    if isinstance(shape, dict) and isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(shape):
            if key in one and key in other:
                yield from deviations(shape[key], one[key], other[key], (*at, key), lost=lost)
            elif lost or key in one or key in other:
                yield (*at, key)
    elif _alike(shape, one, other):
        for index, item in enumerate(shape):
            partner = partner_of(item, index, one)
            if partner is None:
                yield from [at] if one != other else []
                return
            yield from deviations(item, one[partner], other[partner], (*at, index), lost=lost)
    elif one != other:
        yield at


def _alike(shape: Tree, one: Tree, other: Tree) -> bool:
    """Whether lists can be compared item by item."""
    return (
        all(isinstance(tree, list) and tree for tree in (shape, one, other))
        and len(one) == len(other)
        and all(isinstance(item, dict) for item in (*shape, *one, *other))
        and [_identity(item) for item in one] == [_identity(item) for item in other]
    )


def _identity(item: dict[str, Tree]) -> tuple[str, Tree] | None:
    return next(((key, item[key]) for key in MERGE_KEYS if key in item), None)


def partner_of(item: Tree, index: int, items: list[Tree]) -> int | None:
    """Index of the list item that ``item`` stands for: of the same name, else in the same place.

    None when there is none.
    """
    if isinstance(item, dict):
        for key in MERGE_KEYS:
            if key in item:
                same = [
                    at
                    for at, found in enumerate(items)
                    if isinstance(found, dict) and found.get(key) == item[key]
                ]
                if len(same) < 2:
                    return same[0] if same else None
                break
    return index if index < len(items) else None


def replaced(tree: Tree, pattern: Path, live: Tree) -> Tree:
    """A copy of ``tree`` with the values at ``pattern`` taken from ``live``.

    Where ``live`` has none, the value is removed; where ``tree`` has none, nothing is added.
    """
    if not pattern:
        return live
    step, rest = pattern[0], pattern[1:]
    if isinstance(tree, dict) and isinstance(step, str):
        keys = list(tree) if step == ANY else [step] if step in tree else []
        copy = dict(tree)
        for key in keys:
            if not isinstance(live, dict) or key not in live:
                if not rest:
                    del copy[key]
            else:
                copy[key] = replaced(tree[key], rest, live[key])
        return copy
    if isinstance(tree, list) and (isinstance(step, int) or step == ANY) and isinstance(live, list):
        items = list(tree)
        for index in range(len(items)) if step == ANY else [step]:
            if isinstance(index, int) and index < len(items):
                partner = partner_of(items[index], index, live)
                if partner is not None:
                    items[index] = replaced(items[index], rest, live[partner])
        return items
    return tree
