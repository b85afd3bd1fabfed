"""Deleting: with the right propagation, and not done before the object is gone."""

import threading
from typing import Any

from infra.plugins.kubernetes import objects, waiting
from infra.plugins.kubernetes.apply import Say
from infra.plugins.kubernetes.cluster import Cluster
from infra.plugins.kubernetes.errors import ApiError, NoSuchKind
from infra.plugins.kubernetes.objects import Reference

# Their pods must be gone before what they use may go; other kinds own nothing to wait for.
_FOREGROUND = {
    "Deployment",
    "ReplicaSet",
    "ReplicationController",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "CronJob",
    "Rollout",
}
_POLICIES = {"foreground": "Foreground", "background": "Background", "orphan": "Orphan"}


def delete(
    cluster: Cluster,
    reference: Reference,
    state: dict[str, Any],
    seconds: float,
    stop: threading.Event,
    say: Say,
) -> None:
    """Delete an object and wait until it is gone; one that is gone already is no error.

    Raises ClusterError when it is not gone in time, and for what the API server refuses.
    """
    try:
        kind = cluster.kind(reference.api_version, reference.kind)
    except NoSuchKind:
        return  # Deleting a definition deletes its objects.
    found = cluster.get(kind, reference.namespace, reference.name)
    if found is None:
        return
    try:
        cluster.request(
            "DELETE",
            kind.path(reference.namespace, reference.name),
            body={
                "apiVersion": "v1",
                "kind": "DeleteOptions",
                "propagationPolicy": _policy(reference.kind, state),
                # Never another object of the same name that came in between.
                "preconditions": {"uid": found["metadata"]["uid"]},
            },
        )
    except ApiError as error:
        if error.status != 404:
            raise
        return
    if not objects.is_on(state, objects.SKIP_AWAIT):
        uid = found["metadata"]["uid"]
        waiting.until_gone(cluster, kind, reference, uid, seconds, stop, say)


def _policy(kind: str, state: dict[str, Any]) -> str:
    written = (objects.annotation(state, objects.PROPAGATION) or "").lower()
    return _POLICIES.get(written) or ("Foreground" if kind in _FOREGROUND else "Background")
