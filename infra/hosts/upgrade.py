"""What an upgrade of Kubernetes will do, in which order, and what is refused before it starts.

Nothing here asks anybody: kubectl's JSON in, steps out. The order is Kubernetes' own: API servers
before kubelets, one minor version at a time.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from infra.hosts import nodes, rolling
from infra.hosts.rolling import State
from infra.refusal import Refusal

Version = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Step:
    """What happens to one node."""

    node: str
    control: bool
    now: str
    """Version that its kubelet runs."""
    state: State


def plan(
    listed: str, server: str, target: str, controls: Sequence[str], workers: Sequence[str]
) -> list[Step]:
    """All nodes in the order in which they change.

    ``listed`` is what `kubectl get nodes` prints as JSON, ``server`` the API server's version,
    ``target`` the wanted one. Refusal for what cannot be upgraded so.
    """
    found = nodes.by_name(listed)
    _require_same({*controls, *workers}, set(found))
    _require_next("the API server", server, target)
    steps = []
    for name in (*controls, *workers):
        now = nodes.kubelet(found[name])
        _require_next(name, now, target)
        state = rolling.state(found[name], rolling.UPGRADING, now == target)
        steps.append(Step(node=name, control=name in controls, now=now, state=state))
    return steps


def table(steps: Iterable[Step], target: str) -> list[str]:
    """The plan in words, a line for each node in its turn."""
    lines = []
    for number, step in enumerate(steps, 1):
        kind = "control plane" if step.control else "worker"
        goal = "" if step.state == "done" else f" -> {target}"
        lines.append(f"{number:3} {step.node:16} {kind:14} {step.now}{goal}  {step.state}")
    return lines


def version(text: str) -> Version:
    """Numbers of a version: 1.36.3 is (1, 36, 3)."""
    return tuple(map(int, text.removeprefix("v").split(".")))


def _require_same(inventory: set[str], cluster: set[str]) -> None:
    remedy = "Add it with scale.yml at the present version, or take it out of the inventory."
    rolling.require_nodes(inventory, cluster, remedy)
    if unknown := sorted(cluster - inventory):
        rule = "the inventory does not have this node, so it would stay behind"
        raise Refusal("inventory", ", ".join(unknown), rule, "Add it to the inventory.")


def _require_next(what: str, now: str, target: str) -> None:
    have, want = version(now), version(target)
    if want < have:
        rule = f"{what} runs {now}, and Kubernetes does not go back"
        raise Refusal("kubernetes", target, rule, "Restore a backup that was taken before.")
    if want[0] != have[0] or want[1] > have[1] + 1:
        rule = f"{what} runs {now}, and Kubernetes goes up one minor version at a time"
        remedy = f'Name kubernetes: "{have[0]}.{have[1] + 1}" first.'
        raise Refusal("kubernetes", target, rule, remedy)
