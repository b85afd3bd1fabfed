"""What a cluster has, compared with what a program asks for.

The API server normalises (`1000m` becomes `1`) and fills in defaults, so a program's inputs and a
live object never compare directly. A dry run of the inputs gives what the server would make of
them; that compares with what it has.
"""

import base64
from dataclasses import dataclass

from infra.plugins.kubernetes import apply, paths
from infra.plugins.kubernetes.apply import Wanted
from infra.plugins.kubernetes.cluster import Cluster, Object
from infra.plugins.kubernetes.errors import ApiError, NoSuchKind
from infra.plugins.kubernetes.objects import Reference
from infra.plugins.kubernetes.values import Path, Tree, without_nulls

# Never a program's business; in an imported object they would only be refused later.
_SERVER_METADATA = (
    "managedFields",
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "generation",
    "selfLink",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "ownerReferences",
    "finalizers",
)


def find(cluster: Cluster, reference: Reference) -> Object | None:
    """The live object; None when it, its namespace or its kind does not exist."""
    try:
        kind = cluster.kind(reference.api_version, reference.kind)
    except NoSuchKind:
        return None
    return cluster.get(kind, reference.namespace, reference.name)


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """What the server would make of a program's inputs."""

    object: Object | None
    refusal: ApiError | None = None
    """Why the server would not have it, when ``object`` is None."""


def predict(cluster: Cluster, wanted: Wanted, live: Object) -> Predicted:
    """Dry-run inputs over a live object; a refusal by validation is a result, not an error."""
    kind = cluster.kind(wanted.reference.api_version, wanted.reference.kind)
    try:
        return Predicted(object=apply.dry_run(cluster, kind, wanted, live))
    except ApiError as error:
        if error.status in (400, 422):
            return Predicted(object=None, refusal=error)
        raise


def shape(tree: Tree) -> Tree:
    """A program's inputs in the form in which the server keeps them: stringData becomes data."""
    if not isinstance(tree, dict):
        return tree
    copy = {
        key: value
        for key, value in without_nulls(tree).items()
        if key not in ("apiVersion", "kind", "status") and not key.startswith("__")
    }
    if isinstance(copy.get("metadata"), dict):
        copy["metadata"] = {
            key: value for key, value in copy["metadata"].items() if key not in _SERVER_METADATA
        }
    if tree.get("kind") == "Secret" and isinstance(copy.get("stringData"), dict):
        texts = copy.pop("stringData")
        encoded = {key: _encode(value) for key, value in texts.items()}
        copy["data"] = dict(copy.get("data") or {}) | encoded
    return copy


def _encode(value: Tree) -> Tree:
    return base64.b64encode(value.encode()).decode() if isinstance(value, str) else value


def input_path(path: Path, inputs: Tree) -> Path:
    """The path in the program's own notation: data of a Secret may stand under stringData."""
    if path[:1] == ("data",) and len(path) > 1:
        written = ("stringData", *path[1:])
        if paths.get(inputs, written)[0]:
            return written
    return path


def drift(inputs: Tree, predicted: Object, live: Object) -> list[Path]:
    """Where the live object is not what the program asks for."""
    return list(paths.deviations(shape(inputs), predicted, live))


def live_inputs(inputs: Tree, predicted: Object | None, live: Object) -> Tree:
    """The inputs that would have made the live object; what did not drift stays as written."""
    if predicted is None:
        predicted = {}
    result = inputs
    for path in drift(inputs, predicted, live):
        result = _with_live_value(result, input_path(path, inputs), path, live)
    return result


def _with_live_value(inputs: Tree, at: Path, server_path: Path, live: Object) -> Tree:
    exists, value = _live_value(inputs, at, server_path, live)
    return _put(inputs, at, value if exists else None, remove=not exists)


def _live_value(inputs: Tree, at: Path, server_path: Path, live: Object) -> tuple[bool, Tree]:
    node: Tree = live
    written: Tree = inputs
    for step, server_step in zip(at, server_path, strict=True):
        exists, below = paths.get(written, (step,))
        written = below if exists else None
        if isinstance(server_step, int) and isinstance(node, list):
            partner = paths.partner_of(written, server_step, node)
            if partner is None:
                return False, None
            node = node[partner]
        elif isinstance(server_step, str) and isinstance(node, dict) and server_step in node:
            node = node[server_step]
        else:
            return False, None
    if at[:1] == ("stringData",) and isinstance(node, str):
        try:
            return True, base64.b64decode(node).decode()
        except (ValueError, UnicodeDecodeError):
            return True, node
    return True, pruned(node, written)


def pruned(node: Tree, written: Tree) -> Tree:
    """A live value reduced to the fields that the program wrote; lists are kept whole."""
    if isinstance(node, dict) and isinstance(written, dict) and written:
        return {key: pruned(node[key], written[key]) for key in written if key in node}
    if isinstance(node, list) and isinstance(written, list):
        reduced = []
        for index, item in enumerate(node):
            partner = paths.partner_of(item, index, written)
            reduced.append(item if partner is None else pruned(item, written[partner]))
        return reduced
    return node


def _put(tree: Tree, at: Path, value: Tree, *, remove: bool) -> Tree:
    step = at[0]
    if isinstance(tree, dict) and isinstance(step, str):
        copy = dict(tree)
        if len(at) > 1:
            copy[step] = _put(tree[step], at[1:], value, remove=remove)
        elif remove:
            copy.pop(step, None)
        else:
            copy[step] = value
        return copy
    if isinstance(tree, list) and isinstance(step, int):
        items = list(tree)
        if len(at) > 1:
            items[step] = _put(tree[step], at[1:], value, remove=remove)
        elif remove:
            del items[step]
        else:
            items[step] = value
        return items
    return tree


def imported(live: Object) -> Tree:
    """Inputs for an object that Pulumi did not make: all of it but what the server sets."""
    copy = {key: value for key, value in live.items() if key not in ("status", "metadata")}
    copy["metadata"] = {
        key: value for key, value in live["metadata"].items() if key not in _SERVER_METADATA
    }
    return copy
