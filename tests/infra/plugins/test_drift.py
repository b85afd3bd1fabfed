"""What a few lists of the cluster tell of the objects in a state, beside the engine's own word."""

import base64
from typing import Any

import pytest

from infra.plugins.kubernetes import drift
from infra.plugins.kubernetes.cluster import Cluster
from tests.infra.plugins.apiserver import ApiServer
from tests.infra.plugins.pulumi_cli import Engine
from tests.infra.plugins.test_engine import program

pytestmark = pytest.mark.apiserver

TEXT = """
kubernetes.core.v1.ConfigMap("plain", metadata={"name": "plain"}, data={"a": "1"}, opts=opts())
kubernetes.core.v1.Secret(
    "hidden",
    metadata={"name": "hidden"},
    string_data={"token": pulumi.Output.secret("hunter2")},
    opts=opts(),
)
# The API server keeps no empty list here.
kubernetes.networking.v1.NetworkPolicy(
    "closed",
    metadata={"name": "closed"},
    spec={"pod_selector": {}, "policy_types": ["Ingress"], "ingress": []},
    opts=opts(),
)
"""


def objects(engine: Engine) -> list[drift.State]:
    return [one for one in engine.state()["resources"] if one["type"].startswith("kubernetes:")]


def names(urns: set[str]) -> set[str]:
    return {urn.rpartition("::")[2] for urn in urns}


def test_what_the_cluster_has_otherwise_is_named_and_nothing_else(
    engine: Engine, server: ApiServer, namespace: str, cluster: Cluster
) -> None:
    program(engine, server, namespace, TEXT)
    engine.up()
    state = objects(engine)

    assert drift.drifted(cluster, state, applied=True) == set()
    # After a refresh nobody could tell a rule that was taken away from one that was never kept.
    assert names(drift.drifted(cluster, state)) == {"closed"}

    home = f"/namespaces/{namespace}"
    token = base64.b64encode(b"hunter3").decode()
    server.patch(f"/api/v1{home}/secrets/hidden", {"data": {"token": token}})
    assert names(drift.drifted(cluster, state, applied=True)) == {"hidden"}

    server.patch(f"/api/v1{home}/configmaps/plain", {"data": {"a": "2"}})
    rule: dict[str, Any] = {"spec": {"ingress": [{}]}}
    server.patch(f"/apis/networking.k8s.io/v1{home}/networkpolicies/closed", rule)
    assert names(drift.drifted(cluster, state, applied=True)) == {"plain", "hidden", "closed"}
