"""A node is taken away within the budgets of what runs on it, and added again, as rehearsed."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from testinfra.host import Host

from ci.pipeline import hosts, playbook
from ci.report import silent
from infra import contract
from infra.environment import Environment
from infra.refusal import Refusal
from tests.hosts import machines, outcomes
from tests.hosts.conftest import Kubectl

pytestmark = pytest.mark.scenarios
NAMESPACE = "scale-test"
REHEARSAL = ("--check", "--diff")


def _scale(env: Environment, *arguments: str, **given: object) -> list[str]:
    """Changes of a run that may lose volumes."""
    return machines.changes(env, "scale", *arguments, scale_lose_volumes=True, **given)


def _closed(kubectl: Kubectl, node: str) -> tuple[bool, bool]:
    """Whether no pod may come to a node, and whether it is marked as one that leaves."""
    found = kubectl("get", "node", node)
    annotations = found["metadata"].get("annotations", {})
    return found["spec"].get("unschedulable", False), "modelyard.dev/leaving" in annotations


def _guarded(image: str) -> list[dict[str, Any]]:
    """A set of one pod on gpu-1 that a budget lets nobody evict."""
    labels = {"app": "guarded"}
    meta = {"name": "guarded", "namespace": NAMESPACE, "labels": labels}
    pod = machines.sleeper("gpu-1", meta, image)
    probe = {"exec": {"command": ["sleep", "0"]}}
    pod["spec"]["containers"][0] |= {"readinessProbe": probe, "livenessProbe": probe}
    template = {"metadata": {"labels": labels}, "spec": pod["spec"] | {"restartPolicy": "Always"}}
    copies = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    budget = {"minAvailable": 1, "selector": {"matchLabels": labels}}
    return [
        {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": meta, "spec": copies},
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": meta,
            "spec": budget,
        },
    ]


@pytest.fixture
def guarded(env: Environment, kubectl: Kubectl) -> Iterator[None]:
    image = contract.load(env).images["modelyard/shell"].pinned
    kubectl("create", "namespace", NAMESPACE)
    for document in _guarded(image):
        kubectl("apply", "--filename", "-", text=json.dumps(document))
    kubectl(
        *("wait", "--namespace", NAMESPACE, "--timeout=120s"),
        *("--for=jsonpath={.status.readyReplicas}=1", "replicaset/guarded"),
        plain=True,
    )
    yield
    kubectl("delete", "namespace", NAMESPACE, plain=True)


def test_a_node_whose_volumes_would_be_lost_is_not_taken_away(
    env: Environment, kubectl: Kubectl
) -> None:
    with pytest.raises(Refusal, match="lie on its disks"):
        playbook.run(env, "scale", silent, "--extra-vars", "scale_remove=cpu-1")

    assert _closed(kubectl, "cpu-1") == (False, False)


@pytest.mark.parametrize("before", ["uncordon", "cordon"])
@pytest.mark.usefixtures("guarded")
def test_a_budget_keeps_a_node_and_the_node_stays_as_it_was(
    env: Environment, kubectl: Kubectl, before: str
) -> None:
    kubectl(before, "gpu-1", plain=True)

    with pytest.raises(playbook.PlaybookError, match="disruption budget"):
        _scale(env, scale_remove="gpu-1", scale_patience=15)

    assert _closed(kubectl, "gpu-1") == (before == "cordon", False)
    copies = kubectl("get", "replicaset", "guarded", "--namespace", NAMESPACE)
    assert copies["status"]["readyReplicas"] == 1
    kubectl("uncordon", "gpu-1", plain=True)


def test_a_node_goes_and_comes_back_each_as_rehearsed_and_a_second_run_changes_nothing(
    env: Environment, kubectl: Kubectl, reach: Callable[[str], Host]
) -> None:
    gpu = reach("gpu-1")
    named = _scale(env, *REHEARSAL, scale_remove="gpu-1")
    assert _closed(kubectl, "gpu-1") == (False, False)
    assert gpu.service("kubelet.service").is_running

    assert _scale(env, scale_remove="gpu-1") == named

    names = {item["metadata"]["name"] for item in kubectl("get", "nodes")["items"]}
    assert names == {"control-1", "cpu-1"}
    assert not gpu.service("kubelet.service").is_running
    assert not gpu.file("/etc/kubernetes/kubelet.conf").exists
    assert "10.245.2.0/24" not in outcomes.said(reach("cpu-1"), "ip -4 route")
    assert _scale(env, scale_remove="gpu-1") == []

    named = _scale(env, *REHEARSAL, scale_add="gpu-1")
    assert len(kubectl("get", "nodes")["items"]) == 2

    assert _scale(env, scale_add="gpu-1") == named

    for role in ("joined", "kubelet_certificate", "pod_network"):
        outcomes.CHECKS[role](gpu, env, "gpu-1")
    outcomes.pod_network(reach("cpu-1"), env, "cpu-1")
    labels, taints = outcomes.labels(kubectl, env, "gpu-1")
    assert labels["modelyard.dev/pool"] == "gpu"
    assert taints == ["nvidia.com/gpu=present:NoSchedule"]
    assert _scale(env, scale_add="gpu-1") == []
    assert hosts.agrees(env)
