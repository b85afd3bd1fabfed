"""Nodes of a cluster, as `kubectl get nodes` prints them as JSON."""

import json
from collections.abc import Mapping
from typing import Any

Node = Mapping[str, Any]


def by_name(listed: str) -> dict[str, Node]:
    """All of them; ValueError or KeyError for what kubectl prints where nobody answers."""
    return {item["metadata"]["name"]: item for item in json.loads(listed)["items"]}


def readiness(node: Node) -> str:
    """What the API server says: True, False or Unknown."""
    conditions = {one["type"]: one["status"] for one in node["status"]["conditions"]}
    status: str = conditions.get("Ready", "Unknown")
    return status


def kubelet(node: Node) -> str:
    """Version of Kubernetes that the node runs: 1.36.3."""
    version: str = node["status"]["nodeInfo"]["kubeletVersion"]
    return version.removeprefix("v")
