"""Deleting against a real API server with its garbage collector."""

import threading
from typing import Any

import pytest

from infra.plugins.kubernetes import deletion, objects
from infra.plugins.kubernetes.cluster import Cluster
from infra.plugins.kubernetes.errors import ClusterError
from infra.plugins.kubernetes.objects import Reference
from tests.infra.plugins.apiserver import ApiServer
from tests.infra.plugins.conftest import kubelet
from tests.infra.plugins.objects_of_tests import deployment
from tests.infra.plugins.test_readiness import Bench, deployments, pods_of

pytestmark = pytest.mark.apiserver


@pytest.fixture
def bench(server: ApiServer, cluster: Cluster, namespace: str) -> Bench:
    return Bench(server, cluster, namespace)


def delete(bench: Bench, made: dict[str, Any], seconds: float = 60) -> None:
    metadata = made["metadata"]
    deletion.delete(
        bench.cluster,
        Reference(made["apiVersion"], made["kind"], metadata.get("namespace"), metadata["name"]),
        made,
        seconds,
        threading.Event(),
        bench.said.append,
    )


def config_map(bench: Bench, **metadata: Any) -> dict[str, Any]:
    return bench.server.create(
        bench.collection("/api/v1", "configmaps"), {"metadata": {"name": "one"} | metadata}
    )


def path(bench: Bench) -> str:
    return f"{bench.collection('/api/v1', 'configmaps')}/one"


def test_what_is_gone_already_is_no_error(bench: Bench) -> None:
    made = config_map(bench)
    bench.server.request("DELETE", path(bench))

    delete(bench, made)

    assert bench.server.find(path(bench)) is None


def test_an_object_whose_kind_is_gone_is_no_error(bench: Bench) -> None:
    made = {"apiVersion": "gone.test/v1", "kind": "Thing", "metadata": {"name": "a"}}

    delete(bench, made)

    assert bench.said == []


def test_a_deletion_waits_for_finalizers(bench: Bench) -> None:
    made = config_map(bench, finalizers=["modelyard.test/hold"])
    free = threading.Timer(
        1, lambda: bench.server.patch(path(bench), {"metadata": {"finalizers": []}})
    )
    free.start()

    delete(bench, made)
    free.join()

    assert bench.server.find(path(bench)) is None
    assert "finalizers modelyard.test/hold" in bench.said[0]


def test_a_deletion_that_takes_too_long_names_what_holds_the_object(bench: Bench) -> None:
    made = config_map(bench, finalizers=["modelyard.test/hold"])

    with pytest.raises(
        ClusterError, match=r"not gone after 0.5 s: finalizers modelyard\.test/hold"
    ):
        delete(bench, made, seconds=0.5)

    bench.server.patch(path(bench), {"metadata": {"finalizers": []}})


def test_a_namespace_is_gone_with_all_that_is_in_it(bench: Bench) -> None:
    config_map(bench)
    made = bench.server.get(f"/api/v1/namespaces/{bench.namespace}")

    delete(bench, made)

    assert bench.server.find(f"/api/v1/namespaces/{bench.namespace}") is None
    assert bench.server.find(path(bench)) is None


def test_a_deployment_is_gone_only_after_its_pods(bench: Bench) -> None:
    made = bench.server.create(deployments(bench), deployment(bench.namespace))
    pods_of(bench)

    with kubelet(bench.server, bench.namespace):
        delete(bench, made)

    assert bench.server.get(bench.collection("/api/v1", "pods"))["items"] == []


def test_pods_stay_where_the_annotation_says_orphan(bench: Bench) -> None:
    body = deployment(bench.namespace)
    body["metadata"]["annotations"] = {objects.PROPAGATION: "orphan"}
    made = bench.server.create(deployments(bench), body)
    pods_of(bench)

    delete(bench, made)

    assert len(bench.server.get(bench.collection("/api/v1", "pods"))["items"]) == 1


def test_a_deletion_with_skip_await_does_not_wait(bench: Bench) -> None:
    annotations = {objects.SKIP_AWAIT: "true"}
    made = config_map(bench, finalizers=["modelyard.test/hold"], annotations=annotations)

    delete(bench, made)

    assert bench.server.get(path(bench))["metadata"]["deletionTimestamp"]
    bench.server.patch(path(bench), {"metadata": {"finalizers": []}})
