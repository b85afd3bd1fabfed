"""What a change of GPU drivers will do, in which order, and what is refused before it starts.

Nothing here asks anybody: kubectl's JSON and what hosts said in, steps out. Whether a driver goes
with a host is the table's to say (drivers.py).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from infra.hosts import nodes, rolling
from infra.hosts.rolling import State
from infra.names import Closed

RESOURCE = "nvidia.com/gpu"


class Seen(Closed):
    """What a host said of itself, and what it is meant to get."""

    wanted: str
    """Version of the driver."""
    running: str
    """Version that drives the GPUs; '' where none does."""
    installed: str
    """Version of the package with the kernel's modules; '' where there is none."""
    gpus: int
    """GPUs, or parts of GPUs, that a node of its pool offers."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """What happens to one host."""

    node: str
    seen: Seen
    state: State
    kubelet: str
    """Version of Kubernetes that it runs, and goes on with."""
    gpus: int
    """GPUs that the node has to offer afterwards; 0 where no device plugin ever told of any."""


def plan(listed: str, hosts: Mapping[str, Seen]) -> list[Step]:
    """All hosts in the order in which they change: first those that an earlier run began with.

    ``listed`` is what `kubectl get nodes` prints as JSON. Refusal for what cannot be done safely.
    """
    found = nodes.by_name(listed)
    remedy = "Run hosts.yml, which gives a host its driver before it joins."
    rolling.require_nodes(hosts, found, remedy)
    steps = [_step(name, found[name], seen) for name, seen in hosts.items()]
    return sorted(steps, key=lambda step: step.state != "begun")


def table(steps: Sequence[Step]) -> list[str]:
    """The plan in words, a line for each host in its turn."""
    return [
        f"{number:3} {step.node:16} {', '.join(_now(step.seen))}{_goal(step)}  {step.state}"
        for number, step in enumerate(steps, 1)
    ]


def _step(name: str, node: nodes.Node, seen: Seen) -> Step:
    changed = seen.running == seen.installed == seen.wanted
    return Step(
        node=name,
        seen=seen,
        state=rolling.state(node, rolling.CHANGING_DRIVER, changed),
        kubelet=nodes.kubelet(node),
        gpus=seen.gpus if RESOURCE in node["status"].get("capacity", {}) else 0,
    )


def _now(seen: Seen) -> Iterable[str]:
    yield f"driver {seen.running or 'none'}"
    if seen.installed not in ("", seen.running):
        yield f"{seen.installed} installed"


def _goal(step: Step) -> str:
    return "" if step.state == "done" else f" -> {step.seen.wanted}"
