"""Server-side apply: how an object comes to be what the program says."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from infra.plugins.kubernetes import objects, paths
from infra.plugins.kubernetes.cluster import Cluster, Kind, Object
from infra.plugins.kubernetes.errors import ApiError, ClusterError, NoSuchKind, conflict
from infra.plugins.kubernetes.objects import Reference
from infra.plugins.kubernetes.values import Path

FIELD_MANAGER = "pulumi"
# How long a kind or a namespace may be on its way: the same `up` makes it, in parallel.
PATIENCE_SECONDS = 60
CONFLICT_ATTEMPTS = 4

Say = Callable[[str], None]
"""Told what is waited for; the engine shows the latest line."""


class Interrupted(ClusterError):  # noqa: N818 - it is a person's decision
    """The person stopped the operation."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a resource wants of the cluster."""

    reference: Reference
    content: Object
    urn: str
    force: bool
    """Take over fields that other managers own."""
    ignored: tuple[Path, ...] = ()
    """Fields whose live values stay."""

    def body(self, live: Object | None) -> Object:
        """The object to apply over ``live``."""
        content = self.content
        if live is not None:
            for pattern in self.ignored:
                content = paths.replaced(content, pattern, live)
        described = dict(content["metadata"])
        described["annotations"] = dict(described.get("annotations") or {}) | {
            objects.OWNER: self.urn
        }
        return content | {"metadata": described}


def dry_run(cluster: Cluster, kind: Kind, wanted: Wanted, live: Object | None) -> Object:
    """What the object would be; nothing is stored and fields of others count as taken over."""
    return _send(cluster, kind, wanted, live, dry=True, force=True)


def rehearse(cluster: Cluster, kind: Kind, wanted: Wanted, live: Object | None) -> Object:
    """As :func:`dry_run`, but a field conflict is an error, as it would be in earnest."""
    try:
        return _send(cluster, kind, wanted, live, dry=True, force=wanted.force)
    except ApiError as error:
        if error.conflict:
            raise conflict(error, str(wanted.reference), objects.PATCH_FORCE) from None
        raise


def apply(
    cluster: Cluster, wanted: Wanted, live: Object | None, stop: threading.Event, say: Say
) -> Object:
    """Apply in earnest; wait for a namespace or kind that is on its way.

    Raises ClusterError for conflicts and for what the API server refuses.
    """
    end = time.monotonic() + PATIENCE_SECONDS
    conflicts = 0
    while True:
        try:
            kind = cluster.kind(wanted.reference.api_version, wanted.reference.kind)
            return _send(cluster, kind, wanted, live, dry=False, force=wanted.force)
        except NoSuchKind as error:
            _patience(error, end)
            say(f"waiting for the API server to serve {wanted.reference.kind}")
        except ApiError as error:
            if error.conflict and wanted.ignored and conflicts < CONFLICT_ATTEMPTS:
                # An ignored field changed between our read and our apply: read it again.
                conflicts += 1
                live = cluster.get(kind, wanted.reference.namespace, wanted.reference.name)
                continue
            if error.conflict:
                raise conflict(error, str(wanted.reference), objects.PATCH_FORCE) from None
            if error.terminating:
                say(f"waiting for the old namespace {wanted.reference.namespace} to go")
                _patience(error, end + PATIENCE_SECONDS)
            elif error.namespace_missing:
                say(f"waiting for the namespace {wanted.reference.namespace}")
                _patience(
                    ClusterError(
                        f"{wanted.reference}: the namespace {wanted.reference.namespace} does not "
                        f"exist, and did not appear within {PATIENCE_SECONDS} s. Create it in the "
                        "program and pass its name as namespace."
                    ),
                    end,
                )
            else:
                raise
        if stop.wait(0.5):
            raise Interrupted(f"{wanted.reference}: interrupted before it was applied.")


def _patience(error: Exception, end: float) -> None:
    if time.monotonic() > end:
        raise error


def _send(
    cluster: Cluster, kind: Kind, wanted: Wanted, live: Object | None, *, dry: bool, force: bool
) -> Object:
    query = {
        "fieldManager": FIELD_MANAGER,
        "force": str(force).lower(),
        # A misspelt field is an error, not a field that vanishes.
        "fieldValidation": "Strict",
    }
    if dry:
        query["dryRun"] = "All"
    return cluster.request(
        "PATCH",
        kind.path(wanted.reference.namespace, wanted.reference.name),
        query=query,
        body=wanted.body(live),
        content_type="application/apply-patch+yaml",
    )
