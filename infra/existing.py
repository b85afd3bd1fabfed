"""What a person may write of an existing cluster, and what that cluster must have.

Data in, faults out: nothing here asks anybody. A fault is (key, value, rule, remedy).
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from infra import team_gateway
from infra.names import TaintText
from infra.refusal import Fault
from infra.team_gateway import GatewayPod

if TYPE_CHECKING:
    from infra.contract import Described, Pool

OLDEST = (1, 30)
"""Kubernetes: ValidatingAdmissionPolicy, which guards our namespaces, is stable in it."""

METRICS_API = "v1beta1.metrics.k8s.io"
DEVICES = {"gpu": "nvidia.com/gpu", "neuron": "aws.amazon.com/neuron"}
STATES = "node.kubernetes.io/"
"""Taints of a node that is drained or not ready: no matter of its contract."""

_TAINT: TypeAdapter[str] = TypeAdapter(TaintText)


def faults(told: "Described") -> Iterator[Fault]:
    """What is wrong with a description by itself."""
    for key, value in (("api", told.api), ("gateway.url", told.gateway.url)):
        if not re.fullmatch(r"https://[^/\s]+/?", value):
            yield key, value, "it is asked over TLS", f"Write {key} as https://HOST or with a port."
    if not told.kubeconfig.expanduser().is_absolute():
        rule = "it is read from anywhere"
        yield "kubeconfig", str(told.kubeconfig), rule, "Write a path that begins with / or ~."
    if "registry" not in told.existing:
        rule = "nodes pull the platform's own images too, so a registry that they trust comes first"
        yield "existing", list(told.existing), rule, "Add registry, and describe the team's own."
    if told.registry.pulled_by != "nodes":
        rule = "the platform gives no password of another's registry to pods"
        remedy = "Let nodes pull by themselves (containerd's own settings) and write nodes."
        yield "registry.pulled_by", told.registry.pulled_by, rule, remedy
    yield from team_gateway.faults(told)
    yield from _pools(told)


def _pools(told: "Described") -> Iterator[Fault]:
    names = Counter(pool.name for pool in told.pools)
    for name, number in names.items():
        if number > 1:
            yield "pools", name, "pools have different names", "Rename one of them."
    if not any(pool.kind == "cpu" for pool in told.pools):
        rule = "the platform itself runs on a pool of kind cpu"
        yield "pools", sorted(names), rule, "Describe one with kind: cpu."
    for index, pool in enumerate(told.pools):
        key = f"pools.{index}"
        if not pool.labels:
            rule = "labels are how pods find its nodes"
            yield f"{key}.labels", pool.labels, rule, "Write the labels that its nodes have."
        if (pool.kind in DEVICES) != (pool.gpus_per_node > 0):
            rule = "pools of kind gpu and neuron have 1 or more, others 0"
            yield f"{key}.gpus_per_node", pool.gpus_per_node, rule, "Write what a node offers."
        if pool.taint is not None and not _is_taint(pool.taint):
            remedy = "Write it so, or leave it out."
            yield f"{key}.taint", pool.taint, "a taint is key=value:effect", remedy
        if pool.kind in DEVICES and not pool.simulated and "devices" not in told.existing:
            rule = f"nodes offer {DEVICES[pool.kind]} by a plugin of the team's"
            yield "existing", list(told.existing), rule, "Add devices once its plugin runs."


def _is_taint(text: str) -> bool:
    try:
        _TAINT.validate_python(text)
    except ValidationError:
        return False
    return True


@dataclass(frozen=True, kw_only=True)
class Node:
    """A node as its API server tells of it."""

    name: str
    labels: Mapping[str, str]
    taints: frozenset[str]
    """As ``key=value:effect``."""
    offers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a cluster says of itself."""

    server: str
    """The address in the kubeconfig."""
    version: tuple[int, int]
    nodes: tuple[Node, ...]
    owners: Mapping[str, str]
    """Environment that made an object, or "" where nobody of ours did, by ``kind name``: of
    storage classes, namespaces, definitions and APIs."""
    gateway: tuple[GatewayPod, ...] = ()
    """Running pods with the labels that the contract says the gateway's have."""


def broken(told: "Described", seen: Seen, environment: str, makes: tuple[str, ...]) -> list[Fault]:
    """What the cluster does not keep of its contract; ``makes``: objects that we will make."""
    found = list(_server(told, seen))
    found += _had(told, seen)
    found += team_gateway.broken(told, seen.gateway, seen.owners)
    for index, pool in enumerate(told.pools):
        found += _offered(f"pools.{index}", pool, seen)
    for name in makes:
        owner = seen.owners.get(name)
        if owner is not None and owner != environment:
            rule = "the platform makes it, and the cluster has one of another's"
            remedy = "Put this environment on another cluster, or let its owner take it away."
            found.append(("cluster", f"{name} of {owner or 'somebody'}", rule, remedy))
    return found


def _server(told: "Described", seen: Seen) -> Iterator[Fault]:
    if seen.server.rstrip("/") != told.api.rstrip("/"):
        rule = f"the current context of the kubeconfig is {seen.server}"
        yield "api", told.api, rule, "Correct it, or name the kubeconfig of that cluster."
    if seen.version < OLDEST:
        text = ".".join(map(str, seen.version))
        rule = f"the platform needs Kubernetes {OLDEST[0]}.{OLDEST[1]} or newer"
        yield "api", text, rule, "Upgrade the cluster, or take another."


def _had(told: "Described", seen: Seen) -> Iterator[Fault]:
    key = f"StorageClass {told.storage_class}"
    if not told.classes and key not in seen.owners:
        have = sorted(name.split()[1] for name in seen.owners if name.startswith("StorageClass "))
        rule = f"the cluster has no such class; it has: {', '.join(have) or 'none'}"
        yield "storage_class", told.storage_class, rule, "Name one of these."
    if "metrics" in told.existing and f"APIService {METRICS_API}" not in seen.owners:
        rule = f"the cluster does not serve {METRICS_API}"
        yield "existing", "metrics", rule, "Remove metrics: the platform then installs it."
    if "monitoring" in told.existing and f"Namespace {told.prometheus}" not in seen.owners:
        rule = "the cluster has no such namespace"
        yield "prometheus", told.prometheus, rule, "Name the one that the team's Prometheus is in."


def _offered(key: str, pool: "Pool", seen: Seen) -> Iterator[Fault]:
    own = [node for node in seen.nodes if pool.labels.items() <= node.labels.items()]
    if not own:
        rule = "no node has these labels"
        yield f"{key}.labels", pool.labels, rule, "Write what its nodes have, or label them."
    for node in own:
        if pool.taint is not None and pool.taint not in node.taints:
            rule = f"node {node.name} has not this taint: pods of others may take it"
            yield f"{key}.taint", pool.taint, rule, "Taint the node, or leave it out."
        others = {text for text in node.taints if not text.startswith(STATES)} - {pool.taint}
        if others:
            rule = f"node {node.name} has taints that pods of the pool do not tolerate"
            yield f"{key}.taint", sorted(others), rule, "Take them from the node, or write one."
        resource = DEVICES.get(pool.kind)
        if resource and not pool.simulated:
            number = int(node.offers.get(resource, "0"))
            if number < pool.gpus_per_node:
                rule = f"node {node.name} offers {number} of {resource}"
                yield f"{key}.gpus_per_node", pool.gpus_per_node, rule, "Write what it offers."
