"""What kubectl prints as JSON, in conditions: `TEXT | volumes_on(NODE)`, `TEXT | nodes_ready`,
`TEXT | volume_folders(NODE)`; and an environment's storage classes as JSON, in one:
`TEXT | volume_disks(POOL, KIND)`."""

import json
from collections.abc import Callable
from typing import Any

from infra import storage
from infra.hosts import nodes
from infra.storage import PROVISIONER, StorageClass

HOSTNAME = "kubernetes.io/hostname"
MADE_BY = "pv.kubernetes.io/provisioned-by"


def volumes_on(listed: str, node: str) -> list[str]:
    """Claims, or names, of volumes that can only be on one node, because they are on its disks."""
    return sorted(_name(volume) for volume in json.loads(listed)["items"] if _only_on(volume, node))


def volume_folders(listed: str, node: str) -> list[str]:
    """Folders of a node that the platform's own provisioner made for volumes."""
    return sorted(
        volume["spec"][kind]["path"]
        for volume in json.loads(listed)["items"]
        for kind in ("hostPath", "local")
        if volume["metadata"].get("annotations", {}).get(MADE_BY) == PROVISIONER
        and kind in volume["spec"]
        and _only_on(volume, node)
    )


def volume_disks(classes: str, pool: str, kind: str) -> list[str]:
    """Folders of storage classes that a node of a pool has to have."""
    told = [StorageClass.model_validate(one) for one in json.loads(classes)]
    return storage.folders(told, pool, kind)


def _only_on(volume: dict[str, Any], node: str) -> bool:
    return any(
        one["key"] == HOSTNAME and one.get("values") == [node]
        for term in _terms(volume)
        for one in term.get("matchExpressions", [])
    )


def _terms(volume: dict[str, Any]) -> list[dict[str, Any]]:
    required = volume["spec"].get("nodeAffinity", {}).get("required", {})
    terms: list[dict[str, Any]] = required.get("nodeSelectorTerms", [])
    return terms


def _name(volume: dict[str, Any]) -> str:
    claim = volume["spec"].get("claimRef")
    return f"{claim['namespace']}/{claim['name']}" if claim else volume["metadata"]["name"]


def nodes_ready(listed: str) -> list[str]:
    """Names of nodes that are ready."""
    found = nodes.by_name(listed)
    return [name for name, node in found.items() if nodes.readiness(node) == "True"]


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """By name."""
        return {
            "nodes_ready": nodes_ready,
            "volume_folders": volume_folders,
            "volume_disks": volume_disks,
            "volumes_on": volumes_on,
        }
