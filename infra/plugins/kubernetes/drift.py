"""What a stack's state says of its objects, compared with the cluster by a few lists.

A cheap look before Pulumi runs: what is as its last apply left it needs no diff. It compares as
the provider's Diff does first (:func:`diff.as_left`), so it takes nothing for unchanged that
Diff would not.
"""

import json
from typing import Any

from infra.plugins.kubernetes import diff, objects, paths, values
from infra.plugins.kubernetes.cluster import Cluster, Kind, Object
from infra.plugins.kubernetes.errors import NoSuchKind

State = dict[str, Any]
"""A resource of the state file."""

UNSETTLED = ("delete", "initErrors", "pendingReplacement", "taint")
"""Marks of resources that the engine has still to do something about."""


def drifted(cluster: Cluster, resources: list[State], *, applied: bool = False) -> set[str]:
    """URNs of those that the cluster does not have as the state says.

    One list per kind and namespace. ``applied`` as :func:`diff.as_left` has it.
    Raises ClusterError when the API server does not answer.
    """
    found: set[str] = set()
    lists: dict[tuple[str, str, str | None], dict[str, Object] | None] = {}
    for resource in resources:
        outputs = resource.get("outputs") or {}
        reference = objects.reference(outputs, token=resource["type"], identifier=resource["id"])
        place = (reference.api_version, reference.kind, reference.namespace)
        if place not in lists:
            lists[place] = _listed(cluster, *place)
        live = (lists[place] or {}).get(reference.name)
        if live is None or not _as_left(resource, live, applied):
            found.add(resource["urn"])
    return found


def _listed(
    cluster: Cluster, api_version: str, kind: str, namespace: str | None
) -> dict[str, Object] | None:
    try:
        known: Kind = cluster.kind(api_version, kind)
    except NoSuchKind:
        return None
    return {item["metadata"]["name"]: item for item in cluster.items(known, namespace)}


def _as_left(resource: State, live: Object, applied: bool) -> bool:
    inputs, outputs = resource.get("inputs") or {}, resource["outputs"]
    if any(resource.get(mark) for mark in UNSETTLED):
        return False
    if values.SIGNATURE in json.dumps(inputs):
        # Secrets are encrypted here, but nobody wrote to an object that has its version still.
        return objects.TAKEN_OVER not in outputs and _version(outputs) == _version(live)
    ignored = [paths.parse(each) for each in resource.get("ignoreChanges") or []]
    return diff.as_left(inputs, outputs, live, ignored, applied=applied)


def _version(thing: Object) -> tuple[str, str]:
    return thing["metadata"]["uid"], thing["metadata"]["resourceVersion"]
