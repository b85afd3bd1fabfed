"""What an environment looks like now: nodes, pools, platform components, models."""

from typing import Any

from kubernetes import client
from pydantic import BaseModel

from ci.pipeline import cluster, rollouts
from ci.pipeline.cluster import PATIENCE_S
from ci.toolchain import supply
from infra import contract, environment
from infra.contract import Contract


class Node(BaseModel, frozen=True):
    """A node of the cluster."""

    name: str
    role: str
    ready: bool
    pool: str


DEVICES = {"gpu": "nvidia.com/gpu", "neuron": "aws.amazon.com/neuron"}
"""What nodes offer to pods, by the kind of their pool."""


class PoolState(BaseModel, frozen=True):
    """A pool of nodes; the GPUs of a simulated one are not real."""

    name: str
    kind: str
    simulated: bool
    nodes: int
    """Nodes that it has now: pools of accounts grow from zero, and shrink back to it."""
    gpus: int
    """Accelerators that its nodes offer now."""


class NetworkState(BaseModel, frozen=True):
    """The pod network, and whether NetworkPolicies do anything on it."""

    engine: str
    policies: str


class Component(BaseModel, frozen=True):
    """A workload of the platform."""

    namespace: str
    name: str
    ready: int
    wanted: int


class Status(BaseModel, frozen=True):
    """The document of ``yard status --json`` (ci/schemas/status.json)."""

    environment: str
    supply: str
    nodes: list[Node]
    pools: list[PoolState]
    network: NetworkState
    platform: list[Component]
    services: list[rollouts.Service]


def read(name: str) -> Status:
    """Ask the cluster; Refusal before the first `yard up`, ClusterError when it is silent."""
    loaded = environment.load(name)
    facts = contract.load(loaded)
    with cluster.connect(facts) as connection:
        nodes: list[Any] = client.CoreV1Api(connection).list_node(_request_timeout=PATIENCE_S).items
        return Status(
            environment=name,
            supply=supply.resolve(loaded),
            nodes=[_node(node, facts) for node in nodes],
            pools=[_pool(pool, nodes) for pool in facts.pools],
            network=NetworkState(
                engine=facts.network_engine,
                policies="enforced" if facts.enforces_network_policy else "not enforced",
            ),
            platform=_components(connection, facts),
            services=rollouts.status(loaded),
        )


def _node(node: Any, facts: Contract) -> Node:
    labels = node.metadata.labels or {}
    ready = any(
        condition.type == "Ready" and condition.status == "True"
        for condition in node.status.conditions or []
    )
    control = "node-role.kubernetes.io/control-plane" in labels
    return Node(
        name=node.metadata.name,
        role="control-plane" if control else "worker",
        ready=ready,
        pool=next((pool.name for pool in facts.pools if _in(pool, node)), ""),
    )


def _pool(pool: contract.Pool, nodes: list[Any]) -> PoolState:
    own = [node for node in nodes if _in(pool, node)]
    device = DEVICES.get(pool.kind, "")
    gpus = sum(int((node.status.allocatable or {}).get(device, 0)) for node in own)
    return PoolState(
        name=pool.name, kind=pool.kind, simulated=pool.simulated, nodes=len(own), gpus=gpus
    )


def _in(pool: contract.Pool, node: Any) -> bool:
    return bool(pool.labels.items() <= (node.metadata.labels or {}).items())


def _components(connection: client.ApiClient, facts: Contract) -> list[Component]:
    apps: Any = client.AppsV1Api(connection)
    only = {
        "label_selector": f"modelyard.dev/environment={facts.environment}",
        "_request_timeout": PATIENCE_S,
    }
    several = [
        *apps.list_deployment_for_all_namespaces(**only).items,
        *apps.list_stateful_set_for_all_namespaces(**only).items,
    ]
    everywhere = apps.list_daemon_set_for_all_namespaces(**only).items
    found = [_component(one, one.status.ready_replicas, one.spec.replicas) for one in several]
    found += [
        _component(one, one.status.number_ready, one.status.desired_number_scheduled)
        for one in everywhere
    ]
    return sorted(found, key=lambda one: (one.namespace, one.name))


def _component(item: Any, ready: int | None, wanted: int | None) -> Component:
    return Component(
        namespace=item.metadata.namespace,
        name=item.metadata.name,
        ready=ready or 0,
        wanted=wanted or 0,
    )
