"""What every change has in common that goes from node to node: what a run leaves on a Node.

Nothing here asks anybody: what `kubectl get nodes` prints as JSON in, answers out.
"""

from collections.abc import Iterable
from typing import Literal

from infra.hosts.nodes import Node, readiness
from infra.refusal import Refusal

UPGRADING = "modelyard.dev/upgrading"
CHANGING_DRIVER = "modelyard.dev/changing-driver"
"""Annotations of a node that a change has begun with; they say whether pods were let in before.

Each change has its own, so that none opens a node that another has left half way.
"""

State = Literal["to do", "begun", "done"]


def require_nodes(inventory: Iterable[str], cluster: Iterable[str], remedy: str) -> None:
    """Refuse hosts that are no nodes."""
    if missing := sorted(set(inventory) - set(cluster)):
        rule = "the cluster has no such node, and this makes none"
        raise Refusal("inventory", ", ".join(missing), rule, remedy)


def state(node: Node, mark: str, changed: bool) -> State:
    """How far a change is; one that was begun is not done, whatever the node looks like.

    Refusal for a node that is ill before its turn.
    """
    if mark in node["metadata"].get("annotations", {}):
        return "begun"
    if readiness(node) != "True":
        rule = "it is not ready, and this takes another node away"
        name = node["metadata"]["name"]
        raise Refusal(f"node {name}", "not ready", rule, "Repair it, or take it out, first.")
    return "done" if changed else "to do"
