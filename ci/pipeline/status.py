"""What an environment looks like now: nodes, pools, platform components, models."""

from pathlib import Path
from typing import Any

import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from pydantic import BaseModel

from ci.pipeline import rollouts
from infra import contract, environment
from infra.contract import Contract

PATIENCE_S = 10
"""Longest wait for the API server, which is on this machine or near it."""


class StatusError(Exception):
    """The cluster does not answer; the text says what to do."""


class Node(BaseModel, frozen=True):
    """A node of the cluster."""

    name: str
    role: str
    ready: bool
    pool: str


class PoolState(BaseModel, frozen=True):
    """A pool of nodes; the GPUs of a simulated one are not real."""

    name: str
    kind: str
    simulated: bool
    gpus: int
    """``nvidia.com/gpu`` that its nodes offer now."""


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
    services: list[dict[str, Any]]


def read(name: str) -> Status:
    """Ask the cluster; raises Refusal before the first `yard up`, StatusError when it is silent."""
    loaded = environment.load(name)
    facts = contract.load(loaded)
    try:
        with api(facts.kubeconfig) as connection:
            nodes = client.CoreV1Api(connection).list_node(_request_timeout=PATIENCE_S).items
            return Status(
                environment=name,
                supply=_supply(loaded),
                nodes=[_node(node) for node in nodes],
                pools=[_pool(pool, nodes) for pool in facts.pools],
                network=NetworkState(
                    engine=facts.network_engine,
                    policies="enforced" if facts.enforces_network_policy else "not enforced",
                ),
                platform=_components(connection, facts),
                services=rollouts.status(loaded),
            )
    except (urllib3.exceptions.HTTPError, ApiException) as error:
        raise StatusError(
            f"{facts.api} does not answer: {error}. Run `yard up {name}`: it repairs what it can."
        ) from error


def api(kubeconfig: Path) -> client.ApiClient:
    """A connection to the cluster, without retries: a person waits."""
    settings = client.Configuration()
    config.load_kube_config(str(kubeconfig), client_configuration=settings)
    settings.retries = 0
    # The machine's proxy must not get between it and its own cluster.
    settings.proxy = None
    return client.ApiClient(settings)


def _node(node: client.V1Node) -> Node:
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
        pool=labels.get("modelyard.dev/pool", ""),
    )


def _pool(pool: contract.Pool, nodes: list[client.V1Node]) -> PoolState:
    gpus = sum(
        int((node.status.allocatable or {}).get("nvidia.com/gpu", 0))
        for node in nodes
        if (node.metadata.labels or {}).get("modelyard.dev/pool") == pool.name
    )
    return PoolState(name=pool.name, kind=pool.kind, simulated=pool.simulated, gpus=gpus)


def _components(connection: client.ApiClient, facts: Contract) -> list[Component]:
    apps = client.AppsV1Api(connection)
    selector = f"modelyard.dev/environment={facts.environment}"
    found: list[Component] = []
    for listing in (
        apps.list_deployment_for_all_namespaces,
        apps.list_stateful_set_for_all_namespaces,
    ):
        for item in listing(label_selector=selector, _request_timeout=PATIENCE_S).items:
            found.append(_component(item, item.status.ready_replicas, item.spec.replicas))
    for item in apps.list_daemon_set_for_all_namespaces(
        label_selector=selector, _request_timeout=PATIENCE_S
    ).items:
        state = item.status
        found.append(_component(item, state.number_ready, state.desired_number_scheduled))
    return sorted(found, key=lambda one: (one.namespace, one.name))


def _component(item: Any, ready: int | None, wanted: int | None) -> Component:
    return Component(
        namespace=item.metadata.namespace,
        name=item.metadata.name,
        ready=ready or 0,
        wanted=wanted or 0,
    )
