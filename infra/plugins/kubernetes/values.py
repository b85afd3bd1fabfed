"""Pulumi's wire values, and plain trees with what is secret or unknown in them.

The engine sends property bags as protobuf structs in which a secret is an object with a signature
and an unknown value is a fixed string. Inside the stand-in, trees are plain JSON with two marker
classes; :func:`plain` strips secrets off before a tree goes to the API server.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from google.protobuf import struct_pb2

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - the protocol's signature, not a secret
OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
UNKNOWN_STRING = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
# The other kinds of unknown values (bool, number, array, object, asset) differ in one string each.
UNKNOWN_STRINGS = {
    UNKNOWN_STRING,
    "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
    "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
    "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
    "030794c1-ac77-496b-92df-f27374a8bd58",
    "e48ece36-62e2-4504-bad9-02848725956a",
    "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
}

Tree = Any
"""JSON: None, bool, int, float, str, list, dict; with Secret and UNKNOWN where marked."""
Path = tuple[str | int, ...]
"""Where a value stands in a tree."""


@dataclass(frozen=True)
class Secret:
    """A value that the engine must encrypt and never show."""

    value: Tree


class Unknown:
    """A value that is not known before `up`; there is one, :data:`UNKNOWN`."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = Unknown()


def read(message: struct_pb2.Struct) -> dict[str, Tree]:
    """Read a property bag from the wire."""
    return {key: _read(value) for key, value in message.fields.items()}


def _read(value: struct_pb2.Value) -> Tree:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return UNKNOWN if value.string_value in UNKNOWN_STRINGS else value.string_value
    if kind == "number_value":
        # The wire has doubles only; Kubernetes wants integers where they are whole.
        # Above 2**53 the shortest decimal of the double is what Go and YAML files write.
        number = value.number_value
        return int(Decimal(repr(number))) if number.is_integer() else number
    if kind == "bool_value":
        return value.bool_value
    if kind == "list_value":
        return [_read(item) for item in value.list_value.values]
    if kind == "struct_value":
        return _read_object(read(value.struct_value))
    return None


def _read_object(fields: dict[str, Tree]) -> Tree:
    match fields.get(SIGNATURE):
        case None:
            return fields
        case str(signature) if signature == SECRET:
            return Secret(fields["value"])
        case str(signature) if signature == OUTPUT:
            inner = fields.get("value", UNKNOWN)
            return Secret(inner) if fields.get("secret") else inner
        case signature:
            raise ValueError(
                f"a value of the special kind {signature!r} (an asset, an archive or a reference "
                "to a resource) cannot stand in a Kubernetes object. Pass plain values."
            )


def write(tree: dict[str, Tree]) -> struct_pb2.Struct:
    """Write a property bag for the wire."""
    message = struct_pb2.Struct()
    for key, value in tree.items():
        message.fields[key].CopyFrom(_write(value))
    return message


def _write(value: Tree) -> struct_pb2.Value:
    match value:
        case None:
            return struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)
        case bool():
            return struct_pb2.Value(bool_value=value)
        case int() | float():
            return struct_pb2.Value(number_value=value)
        case str():
            return struct_pb2.Value(string_value=value)
        case Unknown():
            return struct_pb2.Value(string_value=UNKNOWN_STRING)
        case Secret():
            return struct_pb2.Value(struct_value=write({SIGNATURE: SECRET, "value": value.value}))
        case list():
            items = [_write(item) for item in value]
            return struct_pb2.Value(list_value=struct_pb2.ListValue(values=items))
        case dict():
            return struct_pb2.Value(struct_value=write(value))
        case _:
            raise TypeError(f"{type(value).__name__} is not JSON")


def plain(tree: Tree) -> Tree:
    """A copy without the marks of secrets. Unknowns stay; see :func:`has_unknowns`."""
    match tree:
        case Secret(value):
            return plain(value)
        case dict():
            return {key: plain(value) for key, value in tree.items()}
        case list():
            return [plain(item) for item in tree]
        case _:
            return tree


def without_nulls(tree: Tree) -> Tree:
    """A copy without keys whose value is null: `None` in a program means "not set"."""
    match tree:
        case dict():
            return {key: without_nulls(value) for key, value in tree.items() if value is not None}
        case list():
            return [without_nulls(item) for item in tree]
        case Secret(value):
            return Secret(without_nulls(value))
        case _:
            return tree


def has_unknowns(tree: Tree) -> bool:
    """Whether any value is not known yet."""
    match tree:
        case Unknown():
            return True
        case Secret(value):
            return has_unknowns(value)
        case dict():
            return any(has_unknowns(value) for value in tree.values())
        case list():
            return any(has_unknowns(item) for item in tree)
        case _:
            return False


def secret_paths(tree: Tree, at: Path = ()) -> Iterator[Path]:
    """Where the secrets of a tree stand."""
    match tree:
        case Secret():
            yield at
        case dict():
            for key, value in tree.items():
                yield from secret_paths(value, (*at, key))
        case list():
            for index, item in enumerate(tree):
                yield from secret_paths(item, (*at, index))


def secret_strings(tree: Tree, *, inside: bool = False) -> Iterator[str]:
    """Every string that a tree marks as secret, so that messages can be cleared of them."""
    match tree:
        case Secret(value):
            yield from secret_strings(value, inside=True)
        case dict():
            for value in tree.values():
                yield from secret_strings(value, inside=inside)
        case list():
            for item in tree:
                yield from secret_strings(item, inside=inside)
        case str() if inside:
            yield tree


def marked(tree: Tree, paths: list[Path]) -> Tree:
    """A copy in which the values at ``paths`` are secret; paths that it has not are passed over."""
    if not paths:
        return tree
    if () in paths:
        return tree if isinstance(tree, Secret) else Secret(plain(tree))
    match tree:
        case dict():
            return {
                key: marked(value, [path[1:] for path in paths if path[0] == key])
                for key, value in tree.items()
            }
        case list():
            return [
                marked(item, [path[1:] for path in paths if path[0] == index])
                for index, item in enumerate(tree)
            ]
        case _:
            return tree
