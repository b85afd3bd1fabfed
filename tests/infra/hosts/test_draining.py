"""A node is drained when it takes no pods and only those are left that drain leaves."""

from typing import Any

import pytest

from infra.hosts import draining


def _nodes(**spec: Any) -> dict[str, Any]:
    return {"items": [{"metadata": {"name": "gpu-1"}, "spec": spec}]}


def _pod(name: str, node: str = "gpu-1", phase: str = "Running", **meta: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "models", **meta},
        "spec": {"nodeName": node},
        "status": {"phase": phase},
    }


OFF = _nodes(unschedulable=True)


@pytest.mark.parametrize(
    "pod",
    [
        _pod("plugin", ownerReferences=[{"kind": "DaemonSet"}]),
        _pod("apiserver", annotations={"kubernetes.io/config.mirror": "1"}),
        _pod("job", phase="Succeeded"),
        _pod("chat", node="gpu-2"),
    ],
    ids=["of a DaemonSet", "of a file", "ended", "elsewhere"],
)
def test_pods_that_drain_leaves_are_no_fault(pod: dict[str, Any]) -> None:
    assert draining.fault("gpu-1", OFF, {"items": [pod]}) == ""


def test_a_pod_that_is_left_is_named() -> None:
    pods = {"items": [_pod(f"chat-{number}") for number in range(7)]}

    assert draining.fault("gpu-1", OFF, pods).endswith("models/chat-4 and 2 more")


def test_a_node_that_takes_new_pods_is_not_drained() -> None:
    assert draining.fault("gpu-1", _nodes(), {"items": []}) == "the node takes new pods"


def test_nothing_of_the_cluster_runs_on_a_host_that_is_no_node() -> None:
    assert draining.fault("gpu-9", _nodes(), {"items": [_pod("chat")]}) == ""
