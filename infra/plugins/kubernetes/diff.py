"""What an `up` would change, and whether it takes a new object."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from infra.plugins.kubernetes import immutable, live, objects, paths
from infra.plugins.kubernetes.apply import Wanted
from infra.plugins.kubernetes.cluster import Cluster, Object
from infra.plugins.kubernetes.objects import Reference
from infra.plugins.kubernetes.values import Path, Tree, has_unknowns


class Change(Enum):
    """What happens to a property."""

    ADD = "add"
    DELETE = "delete"
    UPDATE = "update"


@dataclass(frozen=True, kw_only=True)
class Property:
    """One changed property."""

    change: Change
    replaces: bool = False
    in_inputs: bool = True
    """False where the program stays the same and the live object differs."""


@dataclass(kw_only=True)
class Difference:
    """All that is different."""

    properties: dict[str, Property] = field(default_factory=dict)
    delete_first: bool = False
    """A fixed name can be used once: the old object must go before the new one is made."""
    drifted: list[str] = field(default_factory=list)
    """Properties that somebody else changed, for a message."""

    @property
    def replaces(self) -> list[str]:
        """Properties that need a new object."""
        return [name for name, entry in self.properties.items() if entry.replaces]


@dataclass(frozen=True, kw_only=True)
class Question:
    """What the engine asks."""

    old: Reference
    wanted: Wanted
    old_inputs: Tree
    old_outputs: Tree
    new_inputs: Tree
    secret: tuple[Path, ...] = ()
    """Where secrets stand in the new inputs."""


def difference(cluster: Cluster, question: Question) -> Difference:
    """Compare state, program and cluster. Raises ClusterError when the cluster cannot answer."""
    result = Difference(delete_first=_same_name(question))
    identity = _identity(question)
    if identity:
        result.properties = identity
        return result
    if has_unknowns(question.new_inputs):
        _record(result, question, _written(question), old=question.old_outputs)
        return result
    found = live.find(cluster, question.old)
    if found is None:
        result.drifted = ["the object does not exist any more"]
        result.properties = {
            key: Property(change=Change.ADD)
            for key in question.new_inputs
            if key not in ("apiVersion", "kind")
        }
        return result
    if _repeats(question) and as_left(
        question.new_inputs, question.old_outputs, found, question.wanted.ignored
    ):
        return result
    predicted = live.predict(cluster, question.wanted, found)
    if predicted.object is None:
        # The server refuses the change: either it needs a new object, or `up` will say why not.
        _record(result, question, _written(question), old=found)
        return result
    drift = [
        live.input_path(path, question.new_inputs)
        for path in live.drift(question.new_inputs, predicted.object, found)
    ]
    _record(result, question, _effective(question, predicted.object, found), old=None)
    written = set(_written(question))
    result.drifted = [
        _words(path, question, found)
        for path in drift
        if path not in written and not _ignored(question, path)
    ]
    return result


def as_left(
    inputs: Tree, outputs: Tree, found: Object, ignored: Sequence[Path], *, applied: bool = False
) -> bool:
    """Whether the live object is the one that the last apply of these inputs left, unchanged.

    Then applying them again would change nothing, which saves asking the API server by a dry run.
    Fields that the inputs do not name are others', and those that are ignored may be anything.
    ``applied``: the outputs are known to be an apply's. Those of a refresh, which read an object
    that lacked a field, look like those of one for which the server keeps no empty value there.
    """
    _, uid = paths.get(outputs, ("metadata", "uid"))
    metadata = found["metadata"]
    if uid != metadata["uid"] or "deletionTimestamp" in metadata or objects.TAKEN_OVER in outputs:
        return False
    return all(
        any(paths.covers(pattern, path) for pattern in ignored)
        for path in paths.deviations(live.shape(inputs), outputs, found, lost=not applied)
    )


def _repeats(question: Question) -> bool:
    """Whether the program asks for what it asked for the last time."""
    return not any(paths.differences(question.old_inputs, question.new_inputs))


def _words(path: Path, question: Question, found: Object) -> str:
    """One drifted property, with its values where they are short and no secret."""
    name = paths.write(path)
    exists, now = paths.get(found, path)
    _, wanted = paths.get(question.new_inputs, path)
    secret = any(paths.covers(pattern, path) for pattern in question.secret)
    if secret or question.old.kind == "Secret" or isinstance(wanted, dict | list):
        return name
    return f"{name} is {now!r}, not {wanted!r}" if exists else f"{name} is not set"


def _same_name(question: Question) -> bool:
    automatic = objects.is_on(question.new_inputs, objects.AUTONAMED)
    new, old = question.wanted.reference, question.old
    return not automatic and (new.namespace, new.name) == (old.namespace, old.name)


def _identity(question: Question) -> dict[str, Property]:
    old, new = question.old, question.wanted.reference
    changed = {
        "metadata.name": old.name != new.name,
        "metadata.namespace": (old.namespace or "") != (new.namespace or ""),
        "kind": old.kind != new.kind,
        "apiVersion": old.group != new.group,
    }
    return {
        name: Property(change=Change.UPDATE, replaces=True)
        for name, differs in changed.items()
        if differs
    }


def _written(question: Question) -> list[Path]:
    """Where old and new inputs differ, as written."""
    old, new = live.shape(question.old_inputs), live.shape(question.new_inputs)
    return [
        live.input_path(path, question.new_inputs)
        for path in paths.differences(old, new)
        if not _ignored(question, path) and not _is_identity(path)
    ]


def _effective(question: Question, predicted: Object, found: Object) -> list[Path]:
    """Where an apply would change the live object, or the state does not have what is live."""
    changed: dict[Path, None] = {}
    for inputs in (question.new_inputs, question.old_inputs):
        shape = live.shape(inputs)
        for other in (found, question.old_outputs):
            for path in paths.deviations(shape, predicted, other):
                written = live.input_path(path, inputs)
                # The state's values of ignored fields are old, inside of a list too.
                around = other is not found and _holds_ignored(question, written)
                if not around and not _ignored(question, written) and not _is_identity(written):
                    changed[written] = None
    return list(changed)


def _ignored(question: Question, path: Path) -> bool:
    return any(paths.covers(pattern, path) for pattern in question.wanted.ignored)


def _holds_ignored(question: Question, path: Path) -> bool:
    return any(paths.covers(path, pattern[: len(path)]) for pattern in question.wanted.ignored)


def _is_identity(path: Path) -> bool:
    # A default namespace that only the newer inputs spell out is no change; _identity decides.
    return path in (("metadata", "name"), ("metadata", "namespace"), ("apiVersion",), ("kind",))


def _record(
    result: Difference, question: Question, changed: list[Path], *, old: Object | Tree | None
) -> None:
    """Enter changed paths; with ``old`` given, those that are immutable there need a new object."""
    reference = question.wanted.reference
    fixed = (
        immutable.among(reference.group, reference.kind, changed, old) if old is not None else []
    )
    for path in changed:
        was, before = paths.get(question.old_inputs, path)
        is_now, after = paths.get(question.new_inputs, path)
        change = Change.UPDATE if was == is_now else Change.ADD if is_now else Change.DELETE
        result.properties[paths.write(path)] = Property(
            change=change, replaces=path in fixed, in_inputs=was != is_now or before != after
        )
