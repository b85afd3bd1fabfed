"""The operations on one object: create, update, read, compare; each a few requests."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

from infra.plugins.kubernetes import (
    apply,
    diff,
    live,
    objects,
    paths,
    readiness,
    values,
    waiting,
)
from infra.plugins.kubernetes.answers import InitFailed
from infra.plugins.kubernetes.apply import Wanted
from infra.plugins.kubernetes.cluster import Cluster, Object
from infra.plugins.kubernetes.engine import Log
from infra.plugins.kubernetes.errors import ApiError, ClusterError, NoSuchKind, Unreachable
from infra.plugins.kubernetes.objects import Reference
from infra.plugins.kubernetes.readiness import Verdict
from infra.plugins.kubernetes.values import Path, Tree

Bag = dict[str, Tree]


@dataclass(frozen=True)
class Target:
    """Which resource the engine speaks of; ``identifier`` is empty before creation."""

    urn: str
    given_type: str
    identifier: str

    @property
    def token(self) -> str:
        """The type token; older engines give it in the URN only."""
        return self.given_type or self.urn.split("::")[2].split("$")[-1]


@dataclass(frozen=True)
class Found:
    """What a read found."""

    identifier: str
    outputs: Bag
    inputs: Bag


def existing(target: Target, state: Bag) -> Reference:
    """The object that a resource of the state stands for."""
    return objects.reference(state, token=target.token, identifier=target.identifier)


@dataclass
class Session:
    """All operations of one provider resource."""

    cluster: Cluster
    log: Log
    stop: threading.Event
    force: bool = False
    adopt: bool = False
    delete_unreachable: bool = False
    known: set[str] = field(default_factory=set)
    """URNs that the state had when this operation began."""

    def preview_create(self, target: Target, inputs: Bag) -> Bag:
        """What creating would give. Works before the cluster, the namespace or the kind exists."""
        unknown = objects.preview(inputs, inputs, created=True)
        if not objects.is_complete(inputs):
            return unknown
        try:
            wanted = self._wanted(target, inputs)
            kind = self.cluster.kind(wanted.reference.api_version, wanted.reference.kind)
            found = self.cluster.get(kind, wanted.reference.namespace, wanted.reference.name)
            if found is not None and target.urn in self.known:
                return unknown  # A replacement: `up` deletes the old object first.
            self._refuse_foreign(target, wanted.reference, found)
            result = apply.rehearse(self.cluster, kind, wanted, found)
        except Unreachable as error:
            self.log.warn_once(f"{error} This preview is made without asking it.")
            return unknown
        except NoSuchKind as error:
            self.log.info(target.urn, f"{error} This preview does not check the object.")
            return unknown
        except ApiError as error:
            if error.namespace_missing or error.terminating:
                return unknown
            raise
        return objects.preview(self._outputs(result, inputs), inputs, created=True)

    def create(self, target: Target, inputs: Bag, seconds: float) -> tuple[str, Bag]:
        """Create an object; returns (id, outputs) when it is ready."""
        wanted = self._wanted(target, inputs)
        found = live.find(self.cluster, wanted.reference)
        self._refuse_foreign(target, wanted.reference, found)
        applied = apply.apply(self.cluster, wanted, found, self.stop, self._say(target))
        reference = _scoped(wanted.reference, applied)
        return reference.id, self._ready(target, reference, applied, inputs, seconds)

    def update(
        self, target: Target, inputs: Bag, *, ignored: list[str], seconds: float, preview: bool
    ) -> Bag:
        """Apply new inputs; returns outputs when the object is ready."""
        if preview and not objects.is_complete(inputs):
            return objects.preview(inputs, inputs, created=False)
        wanted = self._wanted(target, inputs, ignored)
        found = live.find(self.cluster, wanted.reference)
        if preview:
            try:
                kind = self.cluster.kind(wanted.reference.api_version, wanted.reference.kind)
                result = apply.rehearse(self.cluster, kind, wanted, found)
            except NoSuchKind:
                return objects.preview(inputs, inputs, created=True)
            except ApiError as error:
                if not error.namespace_missing:
                    raise
                return objects.preview(inputs, inputs, created=True)
            outputs = self._outputs(result, inputs)
            return objects.preview(outputs, inputs, created=found is None)
        applied = apply.apply(self.cluster, wanted, found, self.stop, self._say(target))
        return self._ready(target, wanted.reference, applied, inputs, seconds)

    def read(self, target: Target, inputs: Bag) -> Found | None:
        """Read an object; None when it is gone. Without inputs it is an import."""
        reference = objects.reference(inputs, token=target.token, identifier=target.identifier)
        reference = self._with_namespace(reference)
        found = live.find(self.cluster, reference)
        if found is None:
            return None
        if not inputs:
            imported = objects.with_secret_data(live.imported(found))
            return Found(reference.id, self._outputs(found, {}), imported)
        wanted = self._wanted(target, inputs)
        predicted = live.predict(self.cluster, wanted, found)
        now = live.live_inputs(values.plain(inputs), predicted.object, found)
        secret = list(values.secret_paths(inputs))
        marked = objects.with_secret_data(values.marked(now, secret))
        outputs = self._outputs(found, inputs)
        if any(paths.differences(values.plain(inputs), now)):
            outputs[objects.TAKEN_OVER] = True
        judgement = readiness.judge(self.cluster, found, since="")
        # An aborted rollout is a person's decision, and its next release is what repairs it.
        if judgement.verdict is Verdict.FAILED and found["kind"] != "Rollout":
            reasons = [f"{reference}: {judgement.text}"]
            raise InitFailed(reference.id, outputs, marked, reasons)
        return Found(reference.id, outputs, marked)

    def difference(
        self,
        target: Target,
        *,
        old_inputs: Bag,
        old_outputs: Bag,
        new_inputs: Bag,
        ignored: list[str],
    ) -> diff.Difference:
        """Compare; says which properties drifted."""
        plain = values.plain(new_inputs)
        found = diff.difference(
            self.cluster,
            diff.Question(
                old=existing(target, values.plain(old_outputs) or old_inputs),
                wanted=self._wanted(target, new_inputs, ignored, renamed=True),
                old_inputs=values.plain(old_inputs),
                old_outputs=values.plain(old_outputs),
                new_inputs=plain,
                secret=tuple(values.secret_paths(new_inputs)),
            ),
        )
        if found.drifted:
            self.log.info(target.urn, f"the cluster has it otherwise: {', '.join(found.drifted)}")
        return found

    def _wanted(
        self, target: Target, inputs: Bag, ignored: Iterable[str] = (), *, renamed: bool = False
    ) -> Wanted:
        identifier = "" if renamed else target.identifier
        reference = objects.reference(inputs, token=target.token, identifier=identifier)
        if renamed and target.identifier and not reference.name:
            # The name is unknown in a preview: compare under the old one.
            reference = objects.reference(inputs, token=target.token, identifier=target.identifier)
        reference = self._with_namespace(reference, target.identifier)
        return Wanted(
            reference=reference,
            content=objects.body(inputs, reference),
            urn=target.urn,
            force=self.force or objects.is_on(inputs, objects.PATCH_FORCE),
            ignored=tuple(_paths(ignored)),
        )

    def _with_namespace(self, reference: Reference, identifier: str = "") -> Reference:
        """Add the default namespace to a namespaced kind that names none."""
        if reference.namespace:
            return reference
        if identifier:
            old = identifier.rpartition("/")[0] or None
            return Reference(reference.api_version, reference.kind, old, reference.name)
        scoped = objects.is_cluster_scoped(reference.api_version, reference.kind)
        if scoped is None:
            try:
                kind = self.cluster.kind(reference.api_version, reference.kind)
                scoped = not kind.namespaced
            except NoSuchKind:
                return reference
        if scoped:
            return reference
        namespace = self.cluster.namespace()
        return Reference(reference.api_version, reference.kind, namespace, reference.name)

    def _refuse_foreign(self, target: Target, reference: Reference, found: Object | None) -> None:
        """Refuse to create what exists, unless a killed run of this same resource made it."""
        if found is None or self.adopt:
            return
        if target.urn in self.known:
            raise ClusterError(
                f"{reference} still exists, so that its replacement cannot be made under the same "
                "name. Let it be deleted first (delete_before_replace), or change the name."
            )
        owner = objects.annotation(found, objects.OWNER)
        if owner == target.urn:
            return
        by = f"the resource {owner} made it" if owner else "Pulumi did not make it"
        raise ClusterError(
            f"{reference} exists already, and {by}. To manage it here, import it "
            f"(ResourceOptions(import_={reference.id!r})); if a resource was renamed in the "
            "program, give it an alias of the old name; else delete it or choose another name."
        )

    def _ready(
        self, target: Target, reference: Reference, applied: Object, inputs: Bag, seconds: float
    ) -> Bag:
        if objects.is_on(inputs, objects.SKIP_AWAIT):
            return self._outputs(applied, inputs)
        limit = waiting.timeout_seconds(seconds, inputs)
        try:
            last = waiting.until_ready(
                self.cluster, reference, applied, limit, self.stop, self._say(target)
            )
        except waiting.NotReady as error:
            outputs = self._outputs(error.last, inputs)
            raise InitFailed(reference.id, outputs, inputs, error.reasons) from None
        except ClusterError as error:
            # The object exists: whatever keeps us from watching it, the state must have it.
            outputs = self._outputs(applied, inputs)
            raise InitFailed(reference.id, outputs, inputs, [str(error)]) from None
        return self._outputs(last, inputs)

    def _outputs(self, found: Object, inputs: Bag) -> Bag:
        return objects.outputs(found, list(values.secret_paths(inputs)))

    def _say(self, target: Target) -> apply.Say:
        return lambda text: self.log.status(target.urn, text)


def _scoped(reference: Reference, applied: Object) -> Reference:
    """The reference with the namespace that the server put the object into."""
    namespace = applied["metadata"].get("namespace")
    return Reference(reference.api_version, reference.kind, namespace, reference.name)


def _paths(ignored: Iterable[str]) -> Iterable[Path]:
    for text in ignored:
        yield paths.parse(text)
