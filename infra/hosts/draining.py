"""Whether a node is drained, from what the API server says of nodes and pods."""

from collections.abc import Mapping
from typing import Any

ENDED = ("Succeeded", "Failed")
MIRROR = "kubernetes.io/config.mirror"
SHOWN = 5
"""Pods that a refusal names."""


def fault(node: str, nodes: Mapping[str, Any], pods: Mapping[str, Any]) -> str:
    """Why the node is not drained; '' when it is, or when the cluster does not know it."""
    found = [one for one in nodes["items"] if one["metadata"]["name"] == node]
    if not found:
        return ""
    if not found[0]["spec"].get("unschedulable"):
        return "the node takes new pods"
    left = [
        _name(pod) for pod in pods["items"] if pod["spec"].get("nodeName") == node and _counts(pod)
    ]
    more = f" and {len(left) - SHOWN} more" if len(left) > SHOWN else ""
    return ", ".join(sorted(left)[:SHOWN]) + more


def _counts(pod: Mapping[str, Any]) -> bool:
    """Drain leaves pods of DaemonSets and of the kubelet's own files, and those that have ended."""
    meta = pod["metadata"]
    owners = {one["kind"] for one in meta.get("ownerReferences", [])}
    own = "DaemonSet" in owners or MIRROR in meta.get("annotations", {})
    return not own and pod["status"].get("phase") not in ENDED


def _name(pod: Mapping[str, Any]) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
